"""``mixjobs info``, ``status``, ``check`` and ``ratio``: what files and stores contain."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console

from mixjobs.cli.options import parse_name_list, parse_names, say, spectrum_options
from mixjobs.errors import InvalidInput


def info(args: Namespace) -> dict[str, Any]:
    """Describe a library, a store, a run or spectra."""
    from mixjobs.report.console import print_facts
    from mixjobs.report.info import describe_path
    from mixjobs.report.observed import print_spectrum

    path = args.path if len(args.path) > 1 else args.path[0]
    names = parse_names(args.names) if args.names else None
    facts = describe_path(
        path, flux_unit=args.flux_unit, names=names, flux_scale=args.flux_scale,
        **spectrum_options(args),
    )  # fmt: skip
    if not args.json:
        spectra = facts.get("spectra", [facts]) if "spectr" in facts["kind"] else []
        for spectrum in spectra:
            print_spectrum(spectrum)
        if not spectra:
            print_facts(facts)
    return facts


def status(args: Namespace) -> dict[str, Any]:
    """Show the progress of a build."""
    from mixjobs.inference.run_folder import is_run
    from mixjobs.report.console import print_facts
    from mixjobs.report.status import job_status, stage_line

    if is_run(args.store):
        raise InvalidInput(
            f"{args.store}: this is a run, not a store; use mixjobs summary {args.store}",
            path=args.store,
        )
    facts = job_status(Path(args.store))
    if not args.json:
        stages = facts.get("stages", {})
        lines = {name: stage_line(stage) for name, stage in stages.items()}
        print_facts({**{k: v for k, v in facts.items() if k != "stages"}, **lines})
    return facts


_PLAN = ("snr", "orders", "parameters", "epochs", "resolution")


def check(args: Namespace) -> dict[str, Any]:
    """Check the invariants of a store and its held-out errors, or estimate a fit's coverage."""
    if args.coverage is not None:
        return _coverage(args)
    given = [name for name in _PLAN if getattr(args, name) is not None]
    if given:
        raise InvalidInput(
            f"--{given[0]} describes a planned fit; give the star with --coverage too",
            name=given[0],
        )
    from mixjobs.report.check import check_store, print_check

    result = check_store(args.store)
    if not args.json:
        print_check(result)
    if result.broken:
        broken = ", ".join(result.broken)
        say(f"mixjobs: {args.store}: does not satisfy {broken}; build the store again")
    return result.to_dict()


def _coverage(args: Namespace) -> dict[str, Any]:
    from mixjobs.report.coverage import print_coverage
    from mixjobs.store.coverage import estimate_coverage

    if args.snr is None:
        raise InvalidInput("--coverage needs the signal-to-noise ratio; give --snr", name="snr")
    if not isinstance(args.coverage, dict):
        raise InvalidInput(
            "--coverage needs the parameters by name, such as teff_1=5200,teff_2=4300",
            name="coverage",
            value=args.coverage,
        )
    given = {name: value for name in _PLAN if (value := getattr(args, name)) is not None}
    if args.parameters is not None:
        given["parameters"] = parse_name_list(args.parameters)
    estimate = estimate_coverage(args.store, args.coverage, **given)
    if not args.json:
        print_coverage(estimate)
    return estimate.to_dict()


def ratio(args: Namespace) -> dict[str, Any]:
    """Print the flux ratio of component 2 to component 1 in every order."""
    from mixjobs.report.store import ratio_table
    from mixjobs.store.ratios import evaluate_ratios

    ratios = evaluate_ratios(args.store, args.theta1, args.theta2, args.method, args.holes)
    if not args.json:
        for note in ratios.notes:
            say(note)
        Console().print(ratio_table(ratios.orders, ratios.q, ratios.direct))
    return ratios.to_dict()
