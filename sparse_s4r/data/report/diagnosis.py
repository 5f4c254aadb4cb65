"""What the trials say is wrong with poses, units and intrinsics."""

from __future__ import annotations

import math

from sparse_s4r.data.report.facts import DepthFacts, Finding, MotionFacts, PoseFacts, Trial, Verdict
from sparse_s4r.data.report.trials import Assumption, Trials

# Neighbours of a good capture agree to 0.2 to 1 % of the depth. One that agrees this well needs no other reading.
_CONSISTENT = 0.006
# Another assumption is believed if it agrees so much better, and as well as poor sensors do: noise of 4 % of the depth
# leaves 4 % between neighbours. Poses that belong to other frames leave more than 10 % whatever is assumed.
_BETTER = 0.4
_CREDIBLE = 0.05
# Beyond these shares of the depth the poses are imprecise, or do not belong to the depth at all.
IMPRECISE = 0.03
_WRONG = 0.05
# Views that differ by less than this, in degrees and as a share of the depth, agree under any reading.
_STILL_TURN, _STILL_BASELINE = 2.0, 0.03
_APART = 0.7
# Poses jump about as among random frames, while pictures follow each other.
_WITHOUT_ORDER, _IN_ORDER = 0.5, 0.65
# Without any order at all poses are suspect even if pictures do not tell.
_NO_ORDER = 0.8
# Room captures measure from a few decimetres to a few metres; a median outside is a wrong unit rather than a room.
_PLAUSIBLE = (0.2, 30.0)


def pose_facts(trials: Trials) -> PoseFacts:
    """What the report shows of the trials."""
    found = trials.declared
    declared = Trial("as declared", found.error, found.metres, found.overlap, found.overlapping)
    return PoseFacts(
        trials.convention,
        _verdict(trials),
        found.pairs,
        declared,
        tuple(trial.trial for trial in trials.readings),
        tuple(trial.trial for trial in trials.others),
    )


def pose_findings(trials: Trials, depth: DepthFacts, motion: MotionFacts) -> list[Finding]:
    """Findings on poses, units, order and focal length."""
    verdict = _verdict(trials)
    best = trials.best
    if verdict == "another reading fits" and best is not None:
        return [_named(trials, best, depth)]
    found = []
    if not _PLAUSIBLE[0] <= depth.median <= _PLAUSIBLE[1]:
        found.append(_implausible(depth))
    if verdict == "nothing fits" and not found:
        found.append(_misfit(trials, motion))
    elif verdict == "fits" and trials.declared.error > IMPRECISE:
        found.append(_imprecise(trials))
    return found


def _verdict(trials: Trials) -> Verdict:
    turn, baseline = trials.motion
    if trials.declared.pairs == 0 or (turn < _STILL_TURN and baseline < _STILL_BASELINE):
        return "cannot be told"
    declared, best = trials.declared.error, trials.best
    if declared <= _CONSISTENT:
        return "fits"
    if best is not None and best.agreement.error < min(_CREDIBLE, _BETTER * declared):
        return "another reading fits"
    if declared <= _WRONG:
        return "fits"
    # Views that stand as far apart as they see need not overlap.
    return "cannot be told" if math.isinf(declared) and baseline > _APART else "nothing fits"


def _named(trials: Trials, best: Assumption, depth: DepthFacts) -> Finding:
    evidence = (
        f"{best.agreement.pairs} pairs of neighbouring frames agree to {_share(best.agreement.error)} of the depth "
        f"with {best.name}, {_declared(trials)}"
    )
    if best.kind == "reading":
        return _wrong_reading(trials, best, evidence)
    if best.kind == "unit":
        return _wrong_unit(best, depth, evidence)
    if best.kind == "order":
        return Finding(
            f"poses belong to other frames: {best.name}",
            "error",
            evidence,
            "give every frame its own pose: compare how names of images and poses are numbered and sorted",
        )
    if best.kind == "size":
        return Finding(
            "intrinsics of another resolution",
            "error",
            evidence,
            f"multiply fx, fy, cx and cy by {best.value:.4g}: intrinsics scale with the size of the images",
        )
    return Finding(
        "wrong focal length", "error", evidence, f"calibrate the camera; fx and fy x {best.value:g} fits better"
    )


def _wrong_reading(trials: Trials, best: Assumption, evidence: str) -> Finding:
    declared_direction, declared_axes = trials.convention.split(", ")
    direction, axes = best.name.split(", ", 1)
    inverted, turned = direction != declared_direction, axes != declared_axes
    kinds = []
    remedies = []
    if inverted:
        kinds.append(f"inverted poses: they are {direction}, not {declared_direction}")
        value = "true" if direction == "world-to-camera" else "false"
        remedies.append(f'invert every pose (in the generic layout, set "world_to_camera": {value} in capture.json)')
    if turned:
        kinds.append(f"wrong camera axes: they are {axes}, called {declared_axes}")
        standard = {axes, declared_axes} == {"OpenGL axes", "OpenCV axes"}
        remedies.append(
            "negate the second and third column of every camera-to-world rotation (in the generic layout, set "
            f'"axes": "{axes.split()[0].lower()}" in capture.json)'
            if standard
            else f"turn the camera axes of every pose from {axes} into x right, y down, z forward"
        )
    return Finding("; ".join(kinds), "error", evidence, " and ".join(remedies))


def _wrong_unit(best: Assumption, depth: DepthFacts, evidence: str) -> Finding:
    plausible = _PLAUSIBLE[0] <= depth.median <= _PLAUSIBLE[1]
    fitting = _PLAUSIBLE[0] <= depth.median * best.value <= _PLAUSIBLE[1]
    set_depth = f"set depth_scale to {depth.scale * best.value:.4g} metres per unit; it is {depth.scale:.4g}"
    set_poses = f"multiply the translations of all poses by {1 / best.value:.4g}"
    if plausible and not fitting:
        seen = f"{evidence}; the depth itself is plausible, median {depth.median:.3g} m"
        return Finding(f"wrong unit of the poses: {_unit(1 / best.value)}", "error", seen, set_poses)
    seen = (
        f"{evidence}; the median depth is {depth.median:.3g} m as declared and {depth.median * best.value:.3g} m then"
    )
    if fitting and not plausible:
        return Finding(f"wrong unit of depth: {_unit(best.value)}", "error", seen, set_depth)
    return Finding(
        f"depth and poses have different units: depth is {_unit(best.value)} against the poses",
        "error",
        seen,
        f"if depth is wrong, {set_depth}; if the poses are, {set_poses}",
    )


def _implausible(depth: DepthFacts) -> Finding:
    factor = 10.0 ** -round(math.log10(max(depth.median, 1e-12) / 2))
    return Finding(
        f"wrong unit of depth: {_unit(factor)}",
        "error",
        f"the median depth is {depth.median:.3g} m; rooms lie between {_PLAUSIBLE[0]:g} and {_PLAUSIBLE[1]:g} m. "
        "Neighbouring frames do not tell the unit",
        f"check depth_scale, now {depth.scale:.4g} metres per unit (16-bit millimetres: 0.001), and the unit of poses",
    )


def _misfit(trials: Trials, motion: MotionFacts) -> Finding:
    evidence = f"{trials.declared.pairs} pairs of neighbouring frames {_disagree(trials)}{_second(trials)}"
    in_order = motion.image_order > _IN_ORDER
    if motion.pose_order > (_WITHOUT_ORDER if in_order else _NO_ORDER):
        pictures = (
            f"Pictures follow each other ({motion.image_order:.0%} are more like a neighbour than like others), but "
            if in_order
            else ""
        )
        return Finding(
            "shuffled poses: poses do not belong to the frames that they are given to",
            "error",
            f"{evidence}. {pictures}a step from pose to pose is {motion.pose_order:.0%} of the way between random ones",
            "give every frame its own pose: compare how names of images and poses are numbered and sorted",
        )
    return Finding(
        "poses and depth do not fit",
        "error",
        evidence,
        "check that poses and images are of one recording and in one order, that the intrinsics are the depth image's, "
        "and that tracking did not fail; a scene made of this will be a heap of points",
    )


def _imprecise(trials: Trials) -> Finding:
    return Finding(
        "imprecise poses or depth",
        "warning",
        f"{trials.declared.pairs} pairs of neighbouring frames {_disagree(trials)}; good captures stay below 1 %"
        f"{_second(trials)}",
        "expect thick and doubled walls; use poses of a bundle adjustment, or a shorter range of depth (--depth-max)",
    )


def _second(trials: Trials) -> str:
    """What comes nearest of all that is not declared."""
    best = trials.best
    if best is None:
        return ""
    count = len(trials.readings) + len(trials.others) - 1
    return f"; the best of {count} other assumptions, {best.name}, gives {_share(best.agreement.error)}"


def _declared(trials: Trials) -> str:
    if math.isinf(trials.declared.error):
        return "and do not overlap as declared"
    return f"and only to {_share(trials.declared.error)} as declared"


def _disagree(trials: Trials) -> str:
    if math.isinf(trials.declared.error):
        return f"do not overlap: {trials.declared.overlapping} do"
    return f"differ by {_share(trials.declared.error)} of the depth in the median ({trials.declared.metres:.2f} m)"


def _unit(factor: float) -> str:
    """What a length is whose right value is ``factor`` times the declared one."""
    known = {1e-3: "millimetres", 1e-2: "centimetres", 0.0254: "inches", 0.3048: "feet"}
    names = [name for value, name in known.items() if math.isclose(factor, value, rel_tol=1e-6)]
    large = f"too {'large' if factor < 1 else 'small'} by {max(factor, 1 / factor):.4g}"
    return f"{large}, {names[0]} read as metres" if names else large


def _share(value: float) -> str:
    return "no overlap" if math.isinf(value) else f"{value:.1%}"
