"""Runs a model over a public set and measures whatever the set has a truth for, in the set's own protocol."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mddnet import metrics
from mddnet.data.evenly import evenly
from mddnet.errors import MddnetError
from mddnet.evaluate.alignment import AlignmentChoice
from mddnet.evaluate.baselines import SHARPNESS_SCALES, defocus_baselines, negative_sharpness, row_inv_depth
from mddnet.evaluate.cases import case_pictures
from mddnet.evaluate.confidence import (
    MACRO,
    PhotoCurves,
    confidence_curves,
    curve_measures,
    inv_depth_errors,
    mean_curves,
)
from mddnet.evaluate.frame_measures import (
    BLUR_THRESHOLD_PX,
    coc_measures,
    detection_measures,
    metric_depth_measures,
)
from mddnet.evaluate.harness import (
    SIGN_DEFOCUS_MIN,
    BothWays,
    Evaluation,
    FrameRow,
    KindResult,
    OnProgress,
    PhotoRun,
    PredictedMaps,
    Predictor,
    Steps,
    best_sharpness,
    confidence_of,
    plain_mean,
    predict_both_ways,
    predict_checked,
    seed_of,
    stated_quantities,
)
from mddnet.evaluate.pairs import clearly_sharper, pair_row
from mddnet.evaluate.peers.peer import (
    BlurMap,
    Peer,
    PeerAnswer,
    blur_of,
    checked_answer,
    inv_depth_of,
)
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetPhoto, counted, read_item
from mddnet.evaluate.scenes import SceneTruth, draw_known
from mddnet.metrics import OrdinalPairs, inv_depth_range
from mddnet.scenes.inspect_pictures import blur_order
from mddnet.types import BoolArray, Float32Array

CropChoice = Literal["published", "none"]
SCORE_GAP = 0.10
"""Scores of blur differ clearly if they differ by more than this share of the photo's 2-98 % range."""


def protocol_of(public_set: PublicSet, crop: CropChoice, cap_m: float | Literal["published", "none"]) -> Protocol:
    """The set's protocol, with another crop or cap where one is asked for.

    Raises:
        ValueError: for an unknown crop, or a cap that is not positive.
    """
    if crop not in get_args(CropChoice):
        raise ValueError(f"crop is {crop!r}; expected {' or '.join(get_args(CropChoice))}")
    protocol = public_set.protocol
    if crop == "none":
        protocol = replace(protocol, crop=None)
    if cap_m == "none":
        return replace(protocol, depth_range_m=None)
    if cap_m == "published":
        return protocol
    if not (isinstance(cap_m, int | float) and cap_m > 0):
        raise ValueError(f"cap is {cap_m!r}; expected a positive number of metres, published or none")
    low = protocol.depth_range_m[0] if protocol.depth_range_m is not None else 1e-3
    return replace(protocol, depth_range_m=(low, float(cap_m)))


def evaluate_set(
    model: Predictor,
    public_set: PublicSet,
    root: Path,
    *,
    name: str = "model",
    limit: int | None = None,
    crop: CropChoice = "published",
    cap_m: float | Literal["published", "none"] = "published",
    pairs: int = 20_000,
    seed: int = 0,
    peers: Sequence[Peer] = (),
    alignment: AlignmentChoice | None = None,
    blur_threshold_px: float = BLUR_THRESHOLD_PX,
    checksums: bool = False,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Measure a model on a public set. Numbers are means over photos, each photo at all pixels that count.

    Args:
        model: anything with ``predict``.
        public_set: one of :data:`mddnet.evaluate.public_sets.PUBLIC_SETS`.
        root: the folder that holds the set's files.
        name: name of the model in the tables.
        limit: most photos, spread evenly over the set; None for all.
        crop: ``"published"``, the one that the set's users apply, or ``"none"``.
        cap_m: largest depth that counts, metres; ``"published"`` or ``"none"``.
        pairs: random pixel pairs per photo and measure.
        seed: every draw is a function of it and of the photo's name.
        peers: other methods to measure on the same photos.
        alignment: of depth with the truth; None is robust scale-and-shift in inverse depth.
        blur_threshold_px: a pixel is blurred where its CoC exceeds this.
        checksums: compare files whose MD5 is known, first; one that differs is a failure.
        on_progress: called before each photo.

    Returns:
        The evaluation, one kind of the set's name. A photo that cannot be read or has no pixel that counts is listed in
        ``failures``, the others are measured.

    Raises:
        CaptureError: if files that every photo needs are missing.
        ModelError: for two peers of one name.
        ValueError: for a threshold, limit, crop or cap that is impossible.
    """
    alignment = alignment or AlignmentChoice()
    protocol = protocol_of(public_set, crop, cap_m)
    if not blur_threshold_px > 0 or (limit is not None and limit < 1):
        raise ValueError(f"blur_threshold_px {blur_threshold_px}, limit {limit}; expected both positive")
    stated = stated_quantities(peers)
    started = time.monotonic()
    listing = public_set.items(root)
    items = listing.items if limit is None else tuple(listing.items[i] for i in evenly(len(listing.items), limit))
    result = Evaluation(
        name,
        "test",
        {
            "set": public_set.name,
            "photos": f"{len(items)} of {len(listing.items)}",
            "mask": protocol.mask,
            "crop": protocol.crop_words(),
            "cap": protocol.cap_words(),
            "alignment": alignment.words(),
            "blur_threshold_px": blur_threshold_px,
            "pairs_per_photo": pairs,
            "seed": seed,
            "layout_unverified": public_set.unverified,
        },
        peers=stated,
    )
    result.failures += listing.failures
    if checksums:
        result.failures += public_set.wrong_checksums(root)
    kind = KindResult(peers={peer: KindResult() for peer in stated})
    result.kinds[public_set.name] = kind
    steps = Steps(len(items), on_progress)
    run = _SetRun(
        model=model,
        peers=peers,
        public_set=public_set,
        protocol=protocol,
        result=kind,
        pairs=pairs,
        seed=seed,
        alignment=alignment,
        blur_threshold_px=blur_threshold_px,
        failures=result.failures,
        steps=steps,
    )
    for item in items:
        steps.next(item.name)
        try:
            run.evaluate(item)
        except MddnetError as error:
            result.failures.append((f"{public_set.title}, {item.name}", str(error)))
    _summarise_set(kind, run)
    steps.finish()
    result.seconds = time.monotonic() - started
    return result


@dataclass(frozen=True, slots=True)
class _AskedOfSet:
    """A photo and what is asked of it."""

    item: SetItem
    truth: SetPhoto
    scene: SceneTruth | None
    depth_pairs: OrdinalPairs | None
    blur_pairs: OrdinalPairs | None
    drawn_blur: NDArray[np.int64]
    drawn_depth: NDArray[np.int64]
    counts: BoolArray


@dataclass(slots=True, kw_only=True)
class _SetRun(PhotoRun):
    """Measures the photos of a set, one after another."""

    public_set: PublicSet
    protocol: Protocol

    def evaluate(self, item: SetItem) -> None:
        truth = read_item(self.public_set, item, self.protocol)
        asked = self._asked(item, truth)
        both: BothWays | None = None
        if truth.inv_depth is not None:
            both = predict_both_ways(self.model, truth.photo)
            pred = both.upright
        else:
            pred = predict_checked(self.model, truth.photo)
        of_sharp = self._sharp_coc(truth)
        blur = BlurMap(pred.defocus_px, pred.defocus_px, None)
        errors = self._depth_errors(asked, pred.inv_depth)
        turned = None if both is None else both.turned_inv_depth
        measures = self._depth_measures(asked, pred.inv_depth, turned, errors)
        if asked.depth_pairs is not None:
            height, width = truth.photo.shape[:2]
            measures["depth_ordinal_row"] = asked.depth_pairs.accuracy(row_inv_depth(height, width))
        measures |= self._blur_measures(asked, blur, of_sharp)
        measures |= self._baselines(asked)
        if truth.signed_defocus_px is not None:
            measures |= _side_measures(pred.signed_defocus_px, truth.signed_defocus_px)
        measures |= self._confidence(asked, pred, errors)
        self.result.frames.append(FrameRow(item.name, item.group, item.name, measures))
        answers = {peer.name: answer for peer in self.peers if (answer := self._measure_peer(peer, asked)) is not None}
        self.cases.offer(
            item.name,
            item.group,
            measures,
            lambda: case_pictures(
                truth.photo,
                {"defocus_px": pred.defocus_px, "inv_depth": pred.inv_depth},
                answers,
                inv_depth=truth.inv_depth,
                defocus_px=truth.defocus_px if truth.defocus_px is not None else truth.blur_score,
                blurred=truth.blurred,
                sharp=truth.sharp,
            ),
        )

    def _asked(self, item: SetItem, truth: SetPhoto) -> _AskedOfSet:
        seed = seed_of(self.seed, self.public_set.name, item.name)
        counts = counted(self.protocol, (truth.photo.shape[0], truth.photo.shape[1]))
        scene = depth_pairs = blur_pairs = None
        drawn_depth = drawn_blur = np.empty(0, dtype=np.int64)
        if truth.inv_depth is not None:
            known = truth.inv_depth
            scene = SceneTruth(truth.photo, known, np.isfinite(known), inv_depth_range(known))
            depth_pairs = metrics.depth_ordinal_pairs(known, None, pairs=self.pairs, seed=seed)
            drawn_depth = draw_known(known, seed)
        if truth.defocus_px is not None:
            blur_pairs = metrics.defocus_ordinal_pairs(truth.defocus_px, None, pairs=self.pairs, seed=seed)
            drawn_blur = draw_known(truth.defocus_px, seed)
        elif truth.blur_score is not None:
            gap = SCORE_GAP * inv_depth_range(truth.blur_score)
            blur_pairs = metrics.ordinal_pairs(truth.blur_score, None, gap, pairs=self.pairs, seed=seed)
            drawn_blur = draw_known(truth.blur_score, seed)
        return _AskedOfSet(item, truth, scene, depth_pairs, blur_pairs, drawn_blur, drawn_depth, counts)

    def _sharp_coc(self, truth: SetPhoto) -> Float32Array | None:
        """What the model says of the sharp photo, where pairs are all that a set has of blur."""
        if truth.sharp is None or not _pairs_alone(truth):
            return None
        return predict_checked(self.model, truth.sharp).defocus_px

    def _depth_errors(self, asked: _AskedOfSet, inv_depth: Float32Array) -> NDArray[np.float64] | None:
        if asked.scene is None or not asked.scene.range > 0:
            return None
        return inv_depth_errors(inv_depth, asked.scene, asked.drawn_depth)

    def _depth_measures(
        self,
        asked: _AskedOfSet,
        inv_depth: Float32Array,
        turned: Float32Array | None,
        errors: NDArray[np.float64] | None,
    ) -> dict[str, float]:
        if asked.scene is None or asked.depth_pairs is None or turned is None:
            return {}
        drawn, truth = asked.drawn_depth, asked.scene.inv_depth
        measures = {
            "depth_ordinal": asked.depth_pairs.accuracy(inv_depth),
            "depth_ordinal_turned": asked.depth_pairs.accuracy(turned),
            "depth_spearman": metrics.spearman(inv_depth.ravel()[drawn], truth.ravel()[drawn]),
        }
        if asked.truth.unit == "1/m":
            measures |= metric_depth_measures(inv_depth, truth, self.alignment, self.protocol.depth_range_m)
        if errors is not None:
            measures["inv_depth_error"] = float(np.mean(errors))
        return measures

    def _blur_measures(
        self, asked: _AskedOfSet, blur: BlurMap, of_sharp: NDArray[np.floating] | None
    ) -> dict[str, float]:
        truth, measures = asked.truth, {}
        detected = blur.detected(self.blur_threshold_px)
        if asked.blur_pairs is not None:
            measures["defocus_ordinal"] = asked.blur_pairs.accuracy(blur.score)
            known = truth.defocus_px if truth.defocus_px is not None else truth.blur_score
            assert known is not None
            drawn = known.ravel()[asked.drawn_blur]
            measures["defocus_spearman"] = metrics.spearman(blur.score.ravel()[asked.drawn_blur], drawn)
            if truth.defocus_px is not None:
                if blur.defocus_px is not None:
                    measures |= coc_measures(blur.defocus_px, truth.defocus_px)
                found = None if detected is None else detected.ravel()[asked.drawn_blur]
                score = blur.score.ravel()[asked.drawn_blur]
                measures |= detection_measures(found, score, drawn > self.blur_threshold_px)
        if truth.blurred is not None:
            found = None if detected is None else detected[asked.counts]
            measures |= detection_measures(found, blur.score[asked.counts], truth.blurred[asked.counts])
        if truth.sharp is not None and of_sharp is not None:
            measures |= _sharp_pair_measures(asked, blur, of_sharp, self.blur_threshold_px)
        return measures

    def _baselines(self, asked: _AskedOfSet) -> dict[str, float]:
        truth = asked.truth
        if truth.defocus_px is not None and asked.blur_pairs is not None:
            blurred = truth.defocus_px.ravel()[asked.drawn_blur] > self.blur_threshold_px
            return defocus_baselines(truth.photo, asked.blur_pairs, blurred, asked.drawn_blur)
        if truth.blurred is not None:
            where = np.flatnonzero(asked.counts)
            nothing = OrdinalPairs(np.empty(0, np.int64), np.empty(0, np.int64), 0.0)
            return {
                key: value
                for key, value in defocus_baselines(truth.photo, nothing, truth.blurred.ravel()[where], where).items()
                if key.startswith("blur_")
            }
        if asked.blur_pairs is not None:
            return {
                f"defocus_ordinal_sharpness_{scale}": asked.blur_pairs.accuracy(dull)
                for scale, dull in zip(
                    SHARPNESS_SCALES, negative_sharpness(truth.photo, *SHARPNESS_SCALES), strict=True
                )
            }
        return {}

    def _confidence(
        self, asked: _AskedOfSet, pred: PredictedMaps, errors: NDArray[np.float64] | None
    ) -> dict[str, float]:
        confidence, truth = confidence_of(pred), asked.truth
        if truth.defocus_px is not None and len(asked.drawn_blur):
            predicted, true = pred.defocus_px.ravel()[asked.drawn_blur], truth.defocus_px.ravel()[asked.drawn_blur]
            self.calibration.add_coc(predicted, true)
        if confidence is None or asked.scene is None or asked.depth_pairs is None:
            return {}
        drawn = asked.drawn_depth
        curves = confidence_curves(
            confidence,
            pred.inv_depth,
            pred.defocus_px,
            asked.scene,
            truth.defocus_px,
            asked.depth_pairs,
            drawn,
            depth_errors=errors,
        )
        self.curves.append(PhotoCurves(asked.item.name, self.public_set.name, curves))
        coc = None
        if truth.defocus_px is not None:
            coc = np.abs(pred.defocus_px.ravel()[drawn] - truth.defocus_px.ravel()[drawn])
        self.calibration.add_confidence(confidence.ravel()[drawn], coc, errors)
        return curve_measures(curves)

    def _measure_peer(self, peer: Peer, asked: _AskedOfSet) -> PeerAnswer | None:
        truth = asked.truth
        measures: dict[str, float] = {}
        try:
            answer = checked_answer(peer, truth.photo)
            inv_depth, blur = inv_depth_of(answer), blur_of(answer)
            if inv_depth is not None and asked.scene is not None:
                turned = inv_depth_of(checked_answer(peer, np.ascontiguousarray(truth.photo[::-1, ::-1])))
                assert turned is not None
                errors = self._depth_errors(asked, inv_depth)
                measures |= self._depth_measures(asked, inv_depth, turned[::-1, ::-1], errors)
            of_sharp = None
            if blur is not None and _pairs_alone(truth):
                assert truth.sharp is not None
                sharp_blur = blur_of(checked_answer(peer, truth.sharp))
                of_sharp = None if sharp_blur is None else sharp_blur.score
        except MddnetError as error:
            self.failures.append((f"{peer.name} on {asked.item.name}", str(error)))
            return None
        if blur is not None:
            measures |= self._blur_measures(asked, blur, of_sharp)
        if measures:
            row = FrameRow(asked.item.name, asked.item.group, asked.item.name, measures)
            self.result.peers[peer.name].frames.append(row)
        return answer


def _pairs_alone(truth: SetPhoto) -> bool:
    """Whether a sharp photo is all that is known of the blur."""
    others = (truth.defocus_px, truth.blur_score, truth.blurred)
    return truth.sharp is not None and all(other is None for other in others)


def _sharp_pair_measures(
    asked: _AskedOfSet, blur: BlurMap, of_sharp: NDArray[np.floating], threshold_px: float
) -> dict[str, float]:
    """Near/far accuracy of the photo and the sharp photo, and how the answer follows the detail that was lost."""
    truth = asked.truth
    assert truth.sharp is not None
    masks = clearly_sharper(truth.photo, truth.sharp)
    row = pair_row(asked.item.name, (blur.score, of_sharp), (None, None), masks)
    sized = blur.score if blur.defocus_px is None else blur.defocus_px
    return {
        "sharp_pair": row.accuracy,
        "sharp_pair_pixels": float(row.pixels),
        "lost_detail": blur_order(truth.sharp, truth.photo, np.asarray(sized, dtype=np.float32)),
    }


def _side_measures(pred_signed_px: Float32Array, signed_px: Float32Array) -> dict[str, float]:
    """Side of the plane of focus where the CoC is clear, beside the better constant side of the photo."""
    least = SIGN_DEFOCUS_MIN * max(signed_px.shape)
    behind = metrics.sign_accuracy(np.ones_like(signed_px), signed_px, min_defocus_px=least)
    return {
        "sign_accuracy": metrics.sign_accuracy(pred_signed_px, signed_px, min_defocus_px=least),
        "sign_constant": max(behind, 1 - behind),
    }


def _summarise_set(result: KindResult, run: _SetRun) -> None:
    """Means over photos, as the tables of the sets have them, per group and in all."""
    for peer in result.peers.values():
        _means(peer)
    _means(result)
    result.confidence = mean_curves(run.curves)
    for error, by_place in result.confidence.items():
        result.macro[f"falling_steps_{error}"] = float(by_place[MACRO].falling_steps)
    run.keep_calibration_and_cases()


def _means(result: KindResult) -> None:
    by_group: dict[str, list[dict[str, float]]] = {}
    for row in result.frames:
        by_group.setdefault(row.place, []).append(row.measures)
        result.scenes[row.scene] = row.measures
    result.places = {group: _mean_of(rows) | {"frames": float(len(rows))} for group, rows in by_group.items()}
    result.macro = _mean_of([row.measures for row in result.frames])
    result.macro.pop("coc_pixels", None)


def _mean_of(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    summary = plain_mean(rows)
    best_sharpness(summary)
    return summary
