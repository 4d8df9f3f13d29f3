"""The README's example runs as it stands there, on less data, and its commands and files exist."""

import math
import re
import subprocess
from pathlib import Path

import numpy as np

import tcvae_tf as tc
from tcvae_tf import plan, results
from tcvae_tf.datasets import faces3d
from tcvae_tf.sweep import PRESETS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def cut(code, *replacements):
    """The example with each of these words, which must stand in it, replaced."""
    for old, new, times in replacements:
        assert code.count(old) == times, old
        code = code.replace(old, new)
    return code


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    example = SNIPPETS[0]
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    code = cut(
        example,
        ('tc.load("dsprites")', 'tc.load("dsprites").thin(4)', 1),
        ("tc.Run(", "tc.Run(thin=4, ", 1),
        ("width=256", "width=16", 2),
        ("512", "128", 2),
        ("epochs=10", "epochs=2", 2),
    )
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    words = capsys.readouterr().out
    assert f"MIG {names['mig'].score:.3f}" in words
    assert "posY: latent" in words
    assert "β-VAE: MIG" in words
    assert 0 <= names["record"]["mig"] <= 1

    exec(compile(SNIPPETS[3], "README.md", "exec"), names)
    made = ("exported/saved_model.pb", "traversal.png", "traversal.gif", "information.png", "training.png", "page.html")
    assert all((tmp_path / name).stat().st_size > 1000 for name in made)


def test_the_model_of_one_s_own_is_the_example_that_is_tested():
    assert SNIPPETS[2] == (ROOT / "docs" / "examples" / "my_model.py").read_text(encoding="utf-8")


def test_the_transcripts_are_what_the_commands_print(monkeypatch, capsys):
    from tcvae_tf import cli

    monkeypatch.chdir(ROOT)
    found = re.findall(r"```console\n\$ tcvae ([^\n]*)\n(.*?)```", TEXT, flags=re.DOTALL)
    assert [command.split()[0] for command, _ in found] == ["--help", "table"]
    for command, shown in found:
        assert cli.main(command.split()) == 0
        assert capsys.readouterr().out.startswith(shown.rstrip("\n")), command


def test_the_example_of_one_s_own_data_loads(tmp_path, monkeypatch):
    (tmp_path / "my_data.py").write_text(SNIPPETS[1], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    data = tc.load("my_data:squares")
    assert data.name == "my_data:squares"
    assert len(data) == 48
    assert tuple(data.grid.names) == ("size", "x", "y")
    assert "dataset=my_data:squares" in TEXT


def test_the_times_are_those_of_the_benchmark():
    rows = results.read_rows(ROOT / "results" / "benchmark.csv")
    lines = [line for line in TEXT.splitlines() if line.startswith("| `tc.")]
    checked = 0
    for row in rows:
        samples = {"elbo_decomposition": "10000"}.get(row["measure"], row["samples"])
        if (row["images"], row["latents"], row["samples"]) == ("737280", "10", samples):
            name = {"mig_histogram": 'mig(codes, method="histogram")'}.get(row["measure"], f"{row['measure']}(codes)")
            found = [line for line in lines if f"`tc.{name}`" in line]
            if found:
                assert f"{float(row['seconds']):.2g} s" in found[0], name
                checked += 1
    assert checked == 11


def test_the_numbers_of_the_pilot_are_those_of_its_curves():
    from reproduce import pilot

    means = pilot.at(results.read_rows(ROOT / "results" / pilot.FILE), "data_mig", 1.0)
    names = {label.split(",")[0]: f"{value:.3f}" for label, value in means.items()}
    order = ("β-TCVAE", "β-VAE", "VAE", "FactorVAE")
    assert ", ".join(f"{names[name]} for {name}" for name in order[:3]) + f" and {names[order[3]]} for" in " ".join(
        TEXT.split()
    )


def spread(sample):
    """The median with the range, which is the interval of up to five seeds."""
    return f"{np.median(sample):.3f} [{min(sample):.3f}, {max(sample):.3f}]"


def test_the_numbers_of_figure_3_are_those_of_the_records():
    from reproduce import fig3_mig_distribution, methods

    wanted = {run.id for run in fig3_mig_distribution.runs(PRESETS["cpu"])}
    rows = [line for line in results.read_rows(ROOT / "results" / "records.csv") if line["id"] in wanted]
    shown = ("beta_tcvae", "beta_vae", "factor_vae", "vae")
    ours, *others = (results.values(methods.tuned(rows, "dsprites", name), "mig") for name in shown)
    told = [f"{spread(other)} ({results.p_text(results.compare(ours, other).p)})" for other in others]
    text = " ".join(TEXT.split())
    assert f"The median of β-TCVAE (β = 6), {spread(ours)}, is above that of β-VAE (β = 4), {told[0]}" in text
    assert f"that of FactorVAE (γ = 40, the better of 10 and 40), {told[1]}, and that of VAE, {told[2]}, by one" in text
    assert len(rows) == len(wanted) and {*methods.candidates(rows, "dsprites")} == {10, 40}
    assert {len(sample) for sample in (ours, *others)} == {len(PRESETS["cpu"].seeds)} == {5}
    assert [f"{mig:.2f}" for mig in sorted(ours)] == ["0.11", "0.11", "0.38", "0.38", "0.38"]
    report = (ROOT / "results" / "RESULTS.md").read_text(encoding="utf-8")
    elsewhere = re.search(r"β-TCVAE > β-VAE: [^;]* becomes [^,]*, (p = [0-9.]*[0-9])", report)
    assert elsewhere and f"with {elsewhere[1]} in place of {told[0].split('p = ')[1].rstrip(')')}." in text
    best = methods.tuned(rows, "dsprites", "beta_tcvae")
    gaps = "{}, {} and {}".format(*(middle(best, f"mig_gaps.{name}", 3) for name in ("posX", "posY", "scale")))
    largest = max(float(line["mig_gaps.orientation"]) for line in rows if line["mig_gaps.orientation"])
    assert f"posX, posY and scale (median gaps {gaps}); no method finds orientation, whose largest gap" in text
    assert f"in any run is {largest:.2g}, which leaves MIG at most 0.75." in text
    assert {line["active_units"] for line in best} == {"3"}
    swapped = re.search(r"β-VAE > FactorVAE: [^;]* becomes δ = \+[^,]*, (p = [0-9.]*[0-9])", report)
    assert swapped and f"seeds 0 and 1 it would be, without certainty ({swapped[1]})." in text
    beaten = results.compare(*(results.values(methods.tuned(rows, "dsprites", name), "mig") for name in shown[1:3]))
    medians = " against ".join(told[place].split(" ")[0] for place in (0, 1))
    assert f"β-VAE is not above FactorVAE: {medians} ({results.p_text(beaten.p_less)} of the opposite)" in text


def recorded(script, preset="cpu"):
    """The rows that a figure is drawn from, and the README on one line."""
    wanted = {run.id for run in script.runs(PRESETS[preset])}
    rows = [line for line in results.read_rows(ROOT / "results" / "records.csv") if line["id"] in wanted]
    return rows, " ".join(TEXT.split())


def middle(rows, quantity, digits):
    return f"{np.median(results.values(rows, quantity)):.{digits}f}"


def test_the_numbers_of_figure_2_are_those_of_the_records():
    from reproduce import fig2_beta_sweep, methods

    rows, text = recorded(fig2_beta_sweep)
    mig, elbo, highest = (claim.ours.split("; ") for claim in fig2_beta_sweep.check(rows, [])[:3])
    assert f"its best β, β-TCVAE is above β-VAE without certainty ({highest[1].partition(', ')[2]})." in text
    both = [results.values(methods.of(rows, "dsprites", name, 6.0), "mig") for name in ("beta_tcvae", "beta_vae")]
    chance = results.p_text(results.compare(*both).p)
    assert f"Both at β = 6, β-TCVAE has the higher MIG without certainty ({chance})." in text
    assert f"β-TCVAE has the higher ELBO (Cliff's {elbo[1]})" in text
    assert f"In MIG it is ahead without certainty ({mig[1]})" in text and mig[1].startswith("δ = +")
    assert mig[2] == elbo[2] == "n = 5 and 5 seeds"
    at = {
        beta: [methods.of(rows, "dsprites", name, beta) for name in methods.OVER_BETA] for beta in (2.0, 4.0, 6.0, 10.0)
    }
    assert methods.betas(rows, "dsprites", above=1) == list(at)
    assert {b: middle(ours, "mig", 9) > middle(theirs, "mig", 9) for b, (theirs, ours) in at.items()} == {
        2.0: True,
        4.0: True,
        6.0: True,
        10.0: False,
    }
    collapsed, beside = at[10.0]
    assert {line["active_units"] for line in collapsed} == {"1"}
    assert f"at {middle(collapsed, 'elbo', 1)} nats of ELBO against {middle(beside, 'elbo', 1)}." in text
    ours, theirs = (
        middle(methods.of(rows, "dsprites", *which), "elbo", 1) for which in [("beta_tcvae", 6), ("beta_vae", 4)]
    )
    fixed = re.search(
        r"dSprites \(β = 6 and 4\) (\S+) against ([^,]*), δ = -\S+, (.*?) of the op",
        told := fig2_beta_sweep.explain(rows),
    )
    told_of = f"The median ELBO is {ours} nats for β-TCVAE (β = 6) and {theirs} for β-VAE (β = 4), which is higher"
    assert fixed and f"{told_of} ({fixed[3]})." in text
    assert fixed.groups()[:2] == (ours, theirs)
    falls = re.search(r"figure 3: (\S+) and (\S+) nats on dSprites \(β = 6\); (\S+) and (\S+) nats on 3D Faces", told)
    told = "adds about (β - 1)(I - log B) = {} nats for that rest and (β - 1) TC = {} for TC, on the faces"
    assert falls and f"{told} {{}} and {{}}.".format(*falls.groups()) in text


def test_the_other_measures_at_the_same_beta_are_those_of_the_records():
    from reproduce import methods, table_metrics

    rows, text = recorded(table_metrics)
    names = {name: measure for measure, name in table_metrics.MEASURES.items()}
    wanted = [names[name] for name in ("β-VAE score", "FactorVAE score", "MIG (histogram)")]
    found = [results.compare_within(methods.same_beta(methods.alike(rows), "dsprites", name)) for name in wanted]
    assert all(one.effect > 0 for one in found)
    told = "{}, {} and {}".format(*(results.p_text(one.p).removeprefix("p = ") for one in found))
    assert f"By the β-VAE score, the FactorVAE score and the histogram MIG β-TCVAE is ahead with p = {told}." in text


def test_the_numbers_of_figure_4_are_those_of_the_records():
    from reproduce import fig4_mig_vs_tc

    rows, text = recorded(fig4_mig_vs_tc)
    claims = fig4_mig_vs_tc.check(rows)[:2]
    ours, theirs = (claim.ours.removeprefix("ρ = ").removesuffix(" (n = 25, 5 seeds)") for claim in claims)
    assert f"the mean of five seeds, is {ours} for β-TCVAE and {theirs} for β-VAE" in text
    assert {results.p_text(claim.p) for claim in claims} == {"p = 0.031"} == {results.p_text(1 / 2**5)}
    assert "(p = 0.031 each, the least that five can have; [figure 4]" in text
    faces = fig4_mig_vs_tc.check(rows)[2:]
    told = [claim.ours.removeprefix("ρ = ").removesuffix(" (n = 15, 3 seeds)") for claim in faces]
    assert [claim.holds for claim in faces] == [True, False]
    assert f"On the faces it is {told[0]} ({results.p_text(faces[0].p)}) and {told[1]}, which fails." in text
    assert all(claim.holds for claim in claims)
    without = re.search(
        r"β-VAE on dSprites, without β = 10: ρ = (\S+) \(.*?\), of a fall (p = [\d.]+\d)", fig4_mig_vs_tc.explain(rows)
    )
    assert without and f"where it uses one latent, β-VAE's is {without[1]} ({without[2]})." in text


def test_the_numbers_of_the_faces_are_those_of_the_records():
    from reproduce import fig2_beta_sweep, fig3_mig_distribution, methods

    rows, text = recorded(fig3_mig_distribution)
    ours, *others = (
        results.values(methods.tuned(rows, "faces3d", name), "mig")
        for name in ("beta_tcvae", "beta_vae", "vae", "factor_vae")
    )
    tests = [results.compare(ours, other) for other in others]
    told = [results.p_text(test.p) for test in tests]
    assert (
        f"Median MIG is {spread(ours)} with β-TCVAE (β = 6), {spread(others[0])} with β-VAE (β = 4; {told[0]})" in text
    )
    assert f"{spread(others[1])} with VAE ({told[1]}), but {spread(others[2])} with FactorVAE (γ = 40, the" in text
    assert {*methods.candidates(rows, "faces3d")} == {10, 40}
    assert methods.tuned(rows, "faces3d", "factor_vae")[0]["run.tc_weight"] == "40"
    assert f"better of 10 and 40; {results.p_text(tests[2].p_less)} of the opposite)" in text
    assert {len(ours), *map(len, others)} == {3}
    mig, elbo = (
        claim
        for claim in fig2_beta_sweep.check(recorded(fig2_beta_sweep)[0], [])
        if "same β" in claim.text and "Faces" in claim.text
    )
    parts = [claim.ours.split("; ") for claim in (mig, elbo)]
    least = "the least that three seeds against three can have"
    assert f"β-TCVAE is ahead in MIG ({parts[0][1]}, {least}) and in ELBO ({parts[1][1]}): its median" in text
    assert {part[2] for part in parts} == {"n = 3 and 3 seeds"} and round(20 * mig.p, 9) == 1
    a, b, c, d = (
        middle(methods.of(recorded(fig2_beta_sweep)[0], "faces3d", method, beta), "mig", 3)
        for method in ("beta_tcvae", "beta_vae")
        for beta in (6, 10)
    )
    assert f"its median MIG is {a} at β = 6 and {b} at β = 10, that of β-VAE {c} and {d}." in text
    assert not any(found.p < 0.05 for found in (*tests, mig, elbo))


def test_the_numbers_of_the_estimators_are_those_of_the_records():
    from reproduce import ablations

    rows, text = recorded(ablations)
    variants = ablations._variants(rows)
    assert (len(variants["base"]), len(variants["MSS"])) == (5, 3)
    told, chances = {}, {}
    for name, digits in (("mutual_information", 1), ("elbo", 1), ("total_correlation", 3), ("mig", 3)):
        told[name] = [middle(variants[label], name, digits) for label in ("MSS", "base")]
        mss, mws = (results.values(variants[label], name) for label in ("MSS", "base"))
        chances[name] = f"{results.compare(mss, mws).two_sided:.2g}"
    told["mig"] = [spread(results.values(variants[label], "mig")) for label in ("MSS", "base")]
    assert "its codes hold {} nats of information against {}, with an".format(*told["mutual_information"]) in text
    assert "with an ELBO of {} nats against {} and a TC of".format(*told["elbo"]) in text
    assert "a TC of {} against {} (two-sided p = ".format(*told["total_correlation"]) in text
    least = f"{2 / math.comb(8, 3):.2g}"
    assert {*list(chances.values())[:3]} == {least}
    assert (
        f"p = {least}, {least} and {least}, the least that three runs against five can have; other processors" in text
    )
    assert not {line["device"] for line in variants["MSS"]} & {line["device"] for line in variants["base"]}
    assert "a median MIG of {} against {} (p = {};".format(*told["mig"], chances["mig"]) in text


def test_the_numbers_of_figure_5_and_of_the_check_are_those_of_their_files():
    from reproduce import fig5_joint_distributions, training_check

    rows, text = recorded(fig5_joint_distributions)
    claims = fig5_joint_distributions.check(rows, [])
    held = sum(claim.holds for claim in claims)
    assert f"median MIG in {held} and not in {len(claims) - held}, none of it certain" in text
    assert not any(claim.certain for claim in claims) and len(rows) == 24
    last = training_check.of(results.read_rows(ROOT / "results" / training_check.FILE))[training_check.WHOSE[0]][-1]
    negative = float(last["kl"]) - float(last["reconstruction"])
    logged, held, exact = (
        float(last[name]) for name in ("total_correlation", "data_mutual_information", "data_total_correlation")
    )
    constant, rest = 9 * math.log(737_280), held - math.log(1000)
    assert abs(constant + rest + exact - logged) < 0.1
    told = (
        f"{logged:.1f} nats, which is a constant of {constant:.1f} for D latents, (D - 1) log N, and the rest of I and"
    )
    told += f" the exact TC, {rest:.1f} and {exact:.1f}, but for {abs(logged - constant - rest - exact):.1f}."
    assert f"at paper size (B = 1,000) it ended at {told}" in text
    assert f"ended with MIG {float(last['data_mig']):.3f} and {negative:.1f} nats of negative ELBO" in text


def test_the_numbers_of_active_latents_are_those_of_the_records():
    from reproduce import ablations, fig2_beta_sweep, fig3_mig_distribution, methods

    rows, text = recorded(fig2_beta_sweep)

    def using(beta, latents):
        lines = methods.of(rows, "dsprites", "beta_tcvae", beta)
        return [line for line in lines if int(line["active_units"]) == latents]

    def elbo(beta, latents):
        return middle(using(beta, latents), "elbo", 1)

    def gained(beta):
        sides = (
            np.median(
                [[methods.objective(line), methods.objective(line) + methods.mws_bias(line)] for line in lines], axis=0
            )
            for lines in (using(beta, 3), using(beta, 4))
        )
        return [f"{less:.0f}" for less in np.subtract(*sides)]

    assert (
        f"β-TCVAE is {elbo(2, 4)} nats in place of {elbo(2, 3)} (β = 2) and {elbo(4, 4)} in place of {elbo(4, 3)} (β"
        in text
    )
    (exact, seen), (exact4, seen4) = gained(2), gained(4)
    assert f"is lower by {exact} and {exact4} nats, with what MWS adds to it by {seen} and {seen4}: three" in text
    assert {len(using(beta, count)) for beta in (2, 4) for count in (3, 4)} == {2, 3}
    found = re.search(
        r"a Spearman's ρ of (\S+), the mean over sets of three runs or more, n = (\d+); it is below 0 in (\d+)",
        fig2_beta_sweep.explain(rows),
    )
    assert (
        f"over the {found[2]} such sets of three runs or more in figure 2 the mean of Spearman's ρ is {found[1]}, and"
        in text
    )
    assert f"and it is below 0 in {found[3]}. That" in text
    others = re.search(
        r"n = (\d+); it is below 0 in (\d+)", fig3_mig_distribution.explain(recorded(fig3_mig_distribution)[0])
    )
    assert others and f"were not among them, it is below 0 in {others[2]} of {others[1]}." in text
    pairs = re.search(
        r"the one with the lower objective has the higher MIG in (.*? pairs)", fig2_beta_sweep.explain(rows)
    )
    assert (
        pairs
        and f"figure 2 that differ in it, the one with the lower objective has the higher MIG in {pairs[1]}." in text
    )
    most = [int(line["active_units"]) for line in methods.of(rows, "dsprites", "beta_tcvae", 6)]
    assert (len(most), max(most)) == (5, 3) and "At β = 6 none of its five runs has a fourth, but" in text
    others = [ablations._variants(recorded(ablations)[0])[f"B = {size}"] for size in (256, 1024, 2048)]
    told = [f"{sum(line['active_units'] == '4' for line in lines)} of {len(lines)}" for lines in others]
    assert f"but {told[0]} with batches of 256, {told[1]} with 1,024 and {told[2]} with 2,048, the paper's" in text
    base, mig = ablations._variants(recorded(ablations)[0])["base"], [results.values(rows, "mig") for rows in others]
    beside = [results.p_text(results.compare(one, results.values(base, "mig")).two_sided) for one in mig]
    medians = "{:.3f}, {:.3f} and {:.3f}".format(*map(np.median, mig))
    assert "not certainly lower than {} (two-sided p = ".format(middle(base, "mig", 3)) in text
    chances = "{}, {} and {}".format(*(one.removeprefix("p = ") for one in beside))
    assert f"their median MIG is {medians}, not certainly" in text and f"(two-sided p = {chances};" in text
    ours = methods.of(rows, "dsprites", "beta_tcvae", 6)
    assert {line["run.epochs"] for lines in (ours, *others) for line in lines} == {"5"}


def test_the_numbers_of_table_1_are_those_of_its_file():
    from reproduce import table1_measures

    rows = results.read_rows(ROOT / "results" / table1_measures.FILE)
    mig, factor_vae = (table1_measures._median(rows, name, "merged", 1) for name in ("mig", "factor_vae"))
    assert f"has a MIG of {mig:.3f}, and a FactorVAE score of {factor_vae:.3f}." in " ".join(TEXT.split())


def test_linked_files_exist():
    from reproduce.report import anchor

    for target, section in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", TEXT):
        assert (ROOT / target).exists(), target
        if section:
            text = (ROOT / target).read_text(encoding="utf-8") if target else TEXT
            assert section in map(anchor, re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)), section


def test_the_report_s_summary_links_to_its_sections():
    from reproduce.report import anchor

    report = (ROOT / "results" / "RESULTS.md").read_text(encoding="utf-8")
    summary, *sections = re.split(r"^## ", report.partition("## In short")[2], flags=re.MULTILINE)
    titles = [section.partition("\n")[0] for section in sections]
    assert re.findall(r"^\| \[[^]]*\]\(#([^)]*)\)", summary, flags=re.MULTILINE) == [anchor(title) for title in titles]


def test_the_presets_are_those_of_the_program():
    assert re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE) == list(PRESETS)
    quick = PRESETS["quick"]
    assert (quick.dsprites["epochs"], quick.dsprites["thin"], len(quick.seeds)) == (4, 2, 2)
    images = len(tc.load("dsprites").thin(2))
    assert {run.step_count(images // run.batch_size) for run in quick.runs([{"method": "vae"}])} == {960}
    (faces, *_) = quick.runs([{"method": "vae"}], "faces3d")
    assert faces.step_count(math.prod(faces3d.GRID.thin(2)[0].sizes) // faces.batch_size) == 308
    assert "960 steps on dSprites and 308 on faces" in TEXT
    for preset in PRESETS.values():
        assert f"| `{preset.name}` | {preset.purpose}" in TEXT
    assert (PRESETS["cpu"].dsprites["width"], PRESETS["cpu"].dsprites["epochs"], len(PRESETS["cpu"].seeds)) == (
        256,
        5,
        5,
    )
    assert tc.Run().width == 1200


def test_make_help_names_the_targets():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in re.findall(r"\bmake (\w+)", TEXT):
        assert command == "help" or f"make {command} " in shown, command


def test_the_flags_are_those_of_the_program():
    from reproduce.__main__ import _parser
    from tcvae_tf import cli, settings

    known = {name for command in cli._COMMANDS.values() for name in command.define()}
    known |= {"help", "version"}
    known |= {option[2:] for action in _parser()._actions for option in action.option_strings}
    shown = re.findall(r"--(\w+)(?:=(\w+))?", TEXT)
    assert len(shown) > 20
    for name, value in shown:
        assert name in known, name
        if name in settings._CHOICES:
            own = name == "method" and f"--method={value}:" in TEXT
            assert own or value in settings._CHOICES[name], (name, value)
        if name == "setting":
            assert value in settings.SETTINGS


def test_the_plans_are_those_of_the_presets():
    from reproduce import __main__ as reproduce

    for preset in PRESETS:
        runs = reproduce._runs(reproduce._parser().parse_args(["all", f"--preset={preset}"]))
        flop = sum(plan.steps(run) * plan.step_flop(run) for run in runs)
        steps = sum(plan.steps(run) for run in runs)
        shown = re.escape(f"| {preset} | {len(runs)} | {steps:,} | {flop:.1e} |") + r" [\d.,]+ \| [\d.]+ \|\n"
        assert re.search(shown, TEXT), preset


def test_the_readme_says_how_far_the_training_check_came():
    from reproduce import training_check

    rows = training_check.of(results.read_rows(ROOT / "results" / training_check.FILE))
    ours, theirs = (rows[whose][-1]["epoch"] if whose in rows else 0 for whose in training_check.WHOSE)
    assert f"): {ours} of 50 epochs beside pythae, {theirs} of 50 beside the authors' code |" in TEXT
