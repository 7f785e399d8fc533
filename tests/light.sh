#!/bin/sh
# spikeport as installed from its wheel, with neither torch nor Lava: `light.sh ENVIRONMENT`.
set -eu
environment=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
bin="$environment/bin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SPIKEPORT_LAVA_PYTHON="$work/none" # there is a .venv-lava beside this environment
cd "$work" # away from the sources: what is imported is what was installed

size=$(($(du -sm "$environment" | cut -f1) - $(cat "$environment/empty")))
echo "pip install . adds $size MB"
[ "$size" -lt 500 ]
"$bin/python" -c "
import importlib.util as u
assert not [n for n in ('torch', 'lava', 'norse') if u.find_spec(n)], 'this environment is not light'
import sys; sys.path.insert(0, '$here/support')
import graphs, numpy, pathlib
from spikeport.export import nir_file
nir_file.write(graphs.chain(graphs.affine(4, 3), graphs.lif()), 'good.nir')
nir_file.write(graphs.chain(graphs.affine(4, 3), graphs.lif(tau=-1.0)), 'bad.nir')
numpy.savez('data.npz', x=graphs.spikes(400), dt=1e-3)
pathlib.Path('model.pt').write_text('weights')
pathlib.Path('a.raw').write_text('% evt 3.0')
numpy.save('a.npy', numpy.zeros(3, [('t', int), ('x', int), ('p', int)]))
"
expect() { # expect STATUS TEXT COMMAND...
  wanted=$1 text=$2; shift 2
  status=0; "$@" >said 2>&1 || status=$?
  if [ "$status" != "$wanted" ] || ! grep -q "$text" said || grep -q Traceback said; then
    echo "NOT: $* gave $status"; cat said; exit 1
  fi
  echo "ok: $(basename "$1") $2 ${3##*/} gives $status, '$text'"
}
expect 0 "PASSED: 0 findings" "$bin/spikeport" check good.nir
expect 1 "nir-values" "$bin/spikeport" check bad.nir
expect 2 "dependency-missing" "$bin/spikeport" check model.pt --model a:b
expect 2 "dependency-missing" "$bin/spikeport" bin a.raw --dt 1e-3 -o x.npz
expect 0 "PASSED: 1 recording," "$bin/spikeport" bin a.npy --dt 1e-3 --size 3 -o x.npz
expect 2 "lava-missing" "$bin/spikeport" port good.nir --data data.npz -o out
expect 0 "PASSED" "$bin/spikeport" port good.nir --data data.npz -o out --engines fast,reference --max-loss 0.2
expect 0 "0 mismatches" "$bin/spikeport" verify out --data data.npz --engines fast,reference
cp out/report.html page.html
expect 0 "page in out/report.html" "$bin/spikeport" report out
cmp out/report.html page.html
expect 2 "dependency-missing" "$bin/spikeport" export out -o net.onnx
expect 1 "missing" "$bin/spikeport" doctor --json
grep -q "<title>spikeport" out/report.html
echo "light: 12 passed, 0 failed"
