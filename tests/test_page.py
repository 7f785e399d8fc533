"""The page of a real port in a real browser: it renders, says nothing on the console, asks for nothing, and its numbers
are those of report.json. And what the page, the card and the plots promise without one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import graphs
import numpy as np
import pytest
import slayer_nets as nets

from spikeport.export import slayer
from spikeport.pipeline.run import port
from spikeport.pipeline.tables import at

BROWSERS = ("chromium", "google-chrome", "chromium-browser")
VOID = {"meta", "link", "br", "img"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Two layers that differ from the float model, labels, two engines."""
    folder = tmp_path_factory.mktemp("page") / "out"
    made = graphs.chain(graphs.affine(40, 6), graphs.lif(40), graphs.linear(4, 40, 1), graphs.leaky(), inputs=6)
    data = {"x": graphs.spikes(50, 120, 6), "y": np.arange(50) % 4, "dt": graphs.DT}
    port(made, data, engines=["fast", "reference"], parity_samples=1, out=folder, command=["spikeport", "<port>"])
    return folder


@pytest.fixture(scope="module")
def report(bundle):
    return json.loads((bundle / "report.json").read_text())


@pytest.fixture(scope="module")
def plots(bundle):
    return json.loads((bundle / "plots.json").read_text())


class Page(HTMLParser):
    """`cells` path -> text of the elements that say where their number is from; `drawn` plot -> mark -> shapes in it;
    `roles` plot -> its attributes; `ids`; `links` to places on the page; `text`."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.drawn, self.roles, self.ids, self.links, self.texts = [], {}, {}, [], [], []
        self.open, self.plot, self.mark = [], None, None
        self.feed(text)
        assert not self.open, f"elements were left open: {self.open}"

    def handle_starttag(self, tag, given):
        attributes = dict(given)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if tag == "a" else []
        if tag == "svg":
            self.plot = attributes["id"]
            self.roles[self.plot], self.drawn[self.plot] = attributes, {}
        elif self.plot and "series" in attributes.get("class", "").split():
            self.mark = re.search(r"mark-([\w-]+)", attributes["class"])[1]
        elif self.plot and tag in ("circle", "rect", "path") and self.mark and "background" not in attributes["class"]:
            marks = self.drawn[self.plot]
            marks[self.mark] = marks.get(self.mark, 0) + 1
        if tag not in VOID:
            self.open.append((tag, attributes.get("data-key")))
            if attributes.get("data-key"):
                self.cells.append([attributes["data-key"], ""])

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open.pop()[0] == tag
        if tag == "svg":
            self.plot = self.mark = None

    def handle_startendtag(self, tag, given):
        self.handle_starttag(tag, given)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1][1]:
            self.cells[-1][1] += data

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """A file in a headless browser without a network: (the page it made of it, what the console said, what it asked
    for)."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: the page is not looked at in a browser")

    def run(path):
        folder = tmp_path_factory.mktemp("browser")
        options = ["--headless", "--disable-gpu", "--no-first-run", "--enable-logging=stderr", "--dump-dom"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        options += [f"--user-data-dir={folder}", "--host-resolver-rules=MAP * ~NOTFOUND"]
        options += [f"--screenshot={folder / 'shot.png'}", f"--log-net-log={folder / 'net.json'}"]
        made = subprocess.run([browser, *options, path.as_uri()], capture_output=True, text=True, timeout=120)
        assert (folder / "shot.png").stat().st_size > 1000, made.stderr
        console = [line for line in made.stderr.splitlines() if "CONSOLE" in line]
        return made.stdout, console, _asked(json.loads((folder / "net.json").read_text()))

    return run


def _asked(log):
    """Addresses that the page, and not the browser for itself, wanted."""
    started = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    found = [
        event["params"] for event in log["events"] if event["type"] == started and "url" in event.get("params", {})
    ]
    return [params["url"] for params in found if params["initiator"] != "not an origin"]


def test_the_browser_sees_what_is_wrong(browse, tmp_path):
    """Else the next test could not fail."""
    bad = '<img src="https://example.com/x.png"><script>console.error("wrong")</script>'
    (tmp_path / "bad.html").write_text(f"<!doctype html><title>bad</title>{bad}")
    _, console, asked = browse(tmp_path / "bad.html")
    assert len(console) == 1
    assert asked == ["https://example.com/x.png"]


def _shown(text):
    """(a number as it is written, half of its last digit)."""
    digits, unit = re.fullmatch(r"([-+\d.]+)( %| bits)?", text).groups()
    places = len(digits.partition(".")[2]) + 2 * (unit == " %")
    return float(digits) / (100 if unit == " %" else 1), 0.5 * 10.0**-places


def test_a_browser_renders_it_with_the_numbers_of_the_report(browse, bundle, report):
    made, console, asked = browse(bundle / "report.html")
    assert (console, asked) == ([], [])
    found = Page(made)
    assert found.text.startswith(f"spikeport: {report['model']['name']}: {report['verdict']}")
    wanted = {"program.neurons", "fidelity.layers.1.cumulative_error", "attribution.bars.6.so_far.accuracy"}
    wanted |= {"decisions.integer.99", "decisions.decided.float.p95", "cost.synops_per_sample"}
    wanted |= {"cost.neurobench.synaptic_operations.Effective_ACs", "fidelity.layers.0.spike_f1.2"}
    assert wanted <= {key for key, _ in found.cells}
    assert len(found.cells) > 80
    for key, text in found.cells:
        value = at(report, key)
        if value is None:
            assert text == "–", key
        else:
            number, tolerance = _shown(text)
            assert number == pytest.approx(value, abs=tolerance * 1.000001, rel=0), key


def test_every_plot_has_what_was_measured_and_says_it_in_words(bundle, report, plots):
    found = Page((bundle / "report.html").read_text())
    assert list(found.roles) == ["headroom", "waterfall", "raster", "membrane-0", "membrane-1", "curve", "floorplan"]
    for attributes in found.roles.values():
        assert attributes["role"] == "img"
        assert attributes["aria-label"] in found.text
    raster, first = plots["raster"], report["fidelity"]["first_divergence"]
    want, got = ({tuple(event) for event in raster[way]} for way in ("float", "integer"))
    counts = {"both": len(want & got), "float-only": len(want - got), "integer-only": len(got - want)}
    shapes = {mark: count for mark, count in counts.items() if count} | {"first": 1, "first-spike": 1}
    assert found.drawn["raster"] == shapes
    assert (first["step"], first["neuron"]) in want ^ got
    assert f"step {first['step']}, neuron {first['neuron']}" in found.roles["raster"]["aria-label"]
    assert found.drawn["headroom"] == {"level": len(report["fidelity"]["layers"])}
    assert found.drawn["curve"] == {"float": 1, "integer": 1}
    assert found.drawn["membrane-0"]["threshold"] == 1
    cores = len(report["mapping"]["cores"])
    assert found.drawn["floorplan"] == {"free": 128 - cores, "core": cores, "full": cores}


def test_it_can_be_read_by_ear_and_by_keyboard(bundle):
    text = (bundle / "report.html").read_text()
    found = Page(text)
    assert len(found.ids) == len(set(found.ids))
    assert set(found.links) <= {f"#{place}" for place in found.ids}
    headings = [int(level) for level in re.findall(r"<h(\d)", text)]
    assert headings == [1] + [2] * (len(headings) - 1)
    assert '<html lang="en">' in text
    assert text.count("overflow-x: auto") == 1  # whatever scrolls is of that class, and can be reached by keyboard
    assert len(re.findall(r'class="wide"', text)) == len(
        re.findall(r'class="wide" tabindex="0" role="group" aria-l', text)
    )
    assert "@media print" in text
    for word in ("http", "<script", "<img", "url(", "@import", "src="):
        assert word not in text, word
    assert "&lt;port&gt;" in text  # the command is text


def test_the_bars_of_the_waterfall_add_up(report):
    from spikeport.pipeline.waterfall import waterfall

    found, measured = waterfall(report), report["attribution"]
    assert found.measure == "spike F1"
    assert found.total == pytest.approx(1 - measured["bars"][-1]["so_far"]["spike_f1"], abs=1e-12)
    assert found.alone == pytest.approx(sum(1 - bar["alone"]["spike_f1"] for bar in measured["bars"]), abs=1e-12)
    total, alone, rest = (
        float(number) for number in re.search(r"([\d.]+) = ([\d.]+) .* ([-+][\d.]+) by", found.finding).groups()
    )
    assert total == pytest.approx(alone + rest, abs=1.01e-4)
    assert total > 0


def test_gains_are_drawn_too(report, plots):
    """A rounding that undoes what another lost goes back down, and may go below nothing lost."""
    from spikeport.pipeline.figures import figures

    changed = json.loads(json.dumps(report))
    for bar, value in zip(changed["attribution"]["bars"], (0.9, 0.95, 1.0, 1.0, 1.0, 1.0, 1.0), strict=True):
        bar["so_far"]["spike_f1"] = value
    changed["attribution"]["exact"]["spike_f1"] = 0.97
    drawn = Page(f"<p>{figures(changed, plots)['waterfall'].svg}</p>")
    assert drawn.drawn["waterfall"]["gained"] == 2
    assert drawn.drawn["waterfall"]["lost"] == 1
    for said in ("+0.0700", "-0.0500", "-0.0300"):
        assert said in drawn.text


def test_report_makes_the_same_bytes_again(bundle, command):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    (bundle / "report.html").unlink()
    status, out, err = command("report", bundle)
    assert status == 0, err
    assert out.splitlines()[-1].split(":")[0] in ("PASSED", "FAILED", "INCONCLUSIVE")
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_report_opens_the_page_where_asked(bundle, command, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    said = json.loads(command("report", bundle, "--open", "--json")[1])
    assert said["written"] == str(bundle / "report.html")
    assert opened == [(bundle / "report.html").resolve().as_uri()]


def test_a_page_that_another_version_made_is_replaced_and_the_manifest_says_so(bundle, tmp_path, command):
    shutil.copytree(bundle, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    manifest["files"]["report.html"] = "0" * 64
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(manifest))
    assert command("report", tmp_path / "out")[0] == 0
    found = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    assert found["report.html"] == hashlib.sha256((tmp_path / "out" / "report.html").read_bytes()).hexdigest()


def put(path, content):
    """Write a file of a bundle as if it had been written so: its manifest says the same."""
    path.write_text(content)
    manifest = path.with_name("manifest.json")
    if path != manifest:
        held = json.loads(manifest.read_text())
        held["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(held))


@pytest.mark.parametrize("verb", ["report", "explain", "verify"])
def test_a_verdict_that_was_edited_is_not_repeated(verb, bundle, tmp_path, command):
    shutil.copytree(bundle, tmp_path / "out")
    path = tmp_path / "out" / "report.json"
    path.write_text(path.read_text().replace('"samples"', '"samples "', 1))
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 3), np.uint8))
    status, out, err = command(verb, tmp_path / "out", *(("--data", tmp_path / "x.npy") if verb == "verify" else ()))
    assert (status, out) == (2, "")
    assert err.startswith("bundle-altered")


def test_a_result_does_not_replace_a_file_of_its_bundle(bundle, tmp_path, command):
    shutil.copytree(bundle, tmp_path / "out")
    kept = (tmp_path / "out" / "trace.npz").read_bytes()
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 3), np.uint8))
    ends = ("--data", tmp_path / "x.npy", "-o", tmp_path / "out" / "trace.npz")
    status, _, err = command("run", tmp_path / "out", *ends)
    assert status == 2
    assert err.startswith("output-exists")
    assert (tmp_path / "out" / "trace.npz").read_bytes() == kept


@pytest.mark.parametrize("name", ["report.json", "plots.json", "manifest.json"])
@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"schema": 2}', '{"schema": 1}', '{"files": 3}', "\x00"])
def test_what_is_not_a_bundle_is_refused_and_left_alone(name, content, bundle, tmp_path, command):
    shutil.copytree(bundle, tmp_path / "out")
    (tmp_path / "out" / "report.html").write_text("mine")
    (tmp_path / "out" / name).unlink() if content is None else put(tmp_path / "out" / name, content)
    status, _, err = command("report", tmp_path / "out")
    assert status == 2
    assert ("file-missing" if content is None else "file-format") in err
    assert (tmp_path / "out" / "report.html").read_text() == "mine"


def leaves(data, path=()):
    """The paths of everything in a JSON document that holds nothing else."""
    if not isinstance(data, dict | list):
        return [path]
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    return [leaf for key, value in pairs for leaf in leaves(value, (*path, key))]


def test_whatever_stands_in_its_files_there_is_a_page_or_an_error(bundle, tmp_path):
    from spikeport.pipeline.bundle import draw
    from spikeport.sim.errors import SpikeportError

    rng, found = np.random.default_rng(7), []
    wild = [None, -1, 10**400, float("nan"), float("inf"), "", "\x00<", "\ud800", [], {}, [[1]], True]
    shutil.copytree(bundle, tmp_path / "out")
    for trial in range(15):
        path = tmp_path / "out" / ("report.json", "plots.json", "report.json", "plots.json", "manifest.json")[trial % 5]
        whole = path.read_text()
        changed = json.loads(whole)
        places = leaves(changed)
        *way, last = places[rng.integers(len(places))]
        inside = changed
        for key in way:
            inside = inside[key]
        inside[last] = wild[trial % len(wild)]
        put(path, json.dumps(changed))
        try:
            draw(tmp_path / "out")
            found.append("a page")
        except SpikeportError as error:
            found.append(error.code)
        (tmp_path / "out" / "manifest.json").write_text((bundle / "manifest.json").read_text())
        path.write_text(whole)
    assert set(found) == {"a page", "file-format"}


def test_the_card_is_short_and_says_what_the_report_says(bundle, report):
    card = (bundle / "CARD.md").read_text()
    assert len(card.splitlines()) < 60
    assert card.startswith("---\nlibrary_name: spikeport\n")
    assert f"**{report['verdict']}**" in card
    fidelity = report["fidelity"]
    for share in ("float", "integer", "loss_low", "loss_bound"):
        assert f"{100 * fidelity[share]:.2f} %" in card
    for part in ("## Limits", "Never run on a chip", "spikeport run . --data", "spikeport verify . --data"):
        assert part in card
    for name in ("model.nir", "program.npz", "report.json", "plots.json"):
        assert f"| `{name}` | `{hashlib.sha256((bundle / name).read_bytes()).hexdigest()}` |" in card
    assert re.search(r"^\| .*\n(?!\|)", card.split("| | |\n")[1].split("\n\n")[0]) is None  # no line breaks the table


def test_a_name_of_the_users_is_text_on_the_page_and_on_the_card(bundle, report, plots):
    from spikeport.pipeline.report import card, page

    manifest = json.loads((bundle / "manifest.json").read_text())
    changed = json.loads(json.dumps(report))
    name = "a`|\n<b onload=x>[l](y)"
    changed["model"]["name"] = changed["fidelity"]["layers"][0]["name"] = name
    changed["verdict_why"] = f"no neuron of {name} spikes"
    made = page(changed, plots, manifest)
    assert "<b onload" not in made
    assert Page(made).cells
    said = card(changed, manifest)
    assert "# `a'| <b onload=x>[l](y)`, as integers" in said
    assert r"no neuron of a\`\| \<b onload=x\>\[l\](y) spikes" in said


@pytest.mark.parametrize("kind", ["recurrent", "sigma_delta"])
def test_a_net_has_a_page_and_a_card_of_what_there_is(kind, tmp_path):
    """No float model: no waterfall, no voltages beside it, one curve; of graded spikes each is a dot."""
    rng = np.random.default_rng(1)
    path = nets.write(tmp_path / "own.net", getattr(nets, kind)(rng))
    x = nets.data(rng, slayer.read(path), 6, 40)
    port(path, x, engines=["fast"], out=tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["decisions"]["float"] is report["decisions"]["decided"]["float"] is None
    assert report["decisions"]["integer"][-1] == 1.0  # of its own answers
    found = Page((tmp_path / "out" / "report.html").read_text())
    assert list(found.drawn) == ["headroom", "raster", "curve", "floorplan"]
    assert set(found.drawn["curve"]) == {"integer"}
    events = json.loads((tmp_path / "out" / "plots.json").read_text())["raster"]["integer"]
    assert found.drawn["raster"] == {"both": len(events)}
    assert ("decisions.decided.float.median", "–") in [tuple(pair) for pair in found.cells]
    assert "| accuracy | – |" in (tmp_path / "out" / "CARD.md").read_text()


def test_what_has_nothing_to_show_is_left_out():
    """One step, no spike, nothing lost: no bars; the words stay."""
    made = graphs.chain(graphs.linear(4, 3, scale=1e-6), graphs.lif())
    found = Page(port(made, graphs.spikes(40, 1), dt=graphs.DT, engines=["fast"]).report.html)
    assert list(found.drawn) == ["headroom", "raster", "membrane-0", "curve", "floorplan"]
    assert "steps 0 to 0, 1 neuron: 0 spikes in both" in found.roles["raster"]["aria-label"]
    assert "Which rounding costs what" in found.text


def test_every_key_of_the_plots_is_written_down(plots):
    written = (Path(__file__).parents[1] / "docs" / "formats.md").read_text().split("## Bundle")[1].split("\n## ")[0]
    parts = [plots, plots["first"], plots["raster"], *plots["membranes"]]
    assert not {key for part in parts for key in part if f"`{key}`" not in written}
