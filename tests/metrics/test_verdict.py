import numpy as np
import pandas as pd
import pytest

from activa.metrics import METRICS, judge


def table(**rows):
    """A table with the forest's value and interval, and other metrics' value, floor, deviation."""
    found = {}
    for name, numbers in rows.items():
        if name == "rf_auc":
            value, low, high = numbers
            found[name] = {"value": value, "low": low, "high": high, "floor": 0.5, "deviation": (value - 0.5) / 0.02}
            found[name]["judgment"] = "unlike real" if value - 0.5 > 0.08 else "as real"
        else:
            value, floor, deviation = numbers
            judgment = "unlike real" if abs(deviation) > 4 else "as real"
            found[name] = {"value": value, "floor": floor, "deviation": deviation, "judgment": judgment}
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("metric")


@pytest.mark.parametrize(
    ("forest", "grade", "words"),
    [
        ((0.505, 0.48, 0.53), "as real", "cannot tell these cells"),
        ((0.52, 0.51, 0.53), "as real", "hardly tells"),
        ((0.57, 0.53, 0.61), "close", "only a little better"),
        ((0.65, 0.62, 0.68), "different", "tells many"),
        ((0.95, 0.93, 0.97), "far", "easily tells"),
        ((0.55, 0.45, 0.65), "unknown", "too few cells to tell"),
        ((0.53, 0.49, 0.57), "unknown", "too few cells to tell"),
        ((np.nan, np.nan, np.nan), "unknown", "gave no figure"),
    ],
)
def test_grade_follows_the_interval(forest, grade, words):
    verdict = judge(table(rf_auc=forest))
    assert verdict.grade == grade
    assert words in verdict.headline


def test_the_meaning_has_the_interval():
    assert "57 times in 100 (95% interval 53 to 61)" in judge(table(rf_auc=(0.57, 0.53, 0.61))).meaning


def test_findings_come_by_their_deviation_and_name_the_side():
    verdict = judge(
        table(
            rf_auc=(0.5, 0.47, 0.53), wasserstein=(9.0, 10.0, -8), library_size_distance=(0.3, 0.1, 20), mmd=(0.1, 0, 2)
        )
    )
    assert [finding.split(" (")[0] + "." for finding in verdict.findings] == [
        METRICS["library_size_distance"].fault,
        METRICS["wasserstein"].fault_below,
    ]
    assert verdict.grade == "close"
    assert "2 other metrics of 3 can" in verdict.headline


def types(**rows):
    columns = ["real", "synthetic", "recognized", "recognized_real", "judgment"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("type")
    return table.assign(mmd=0.04, mmd_floor=0.01)


def test_types_are_named_those_recognized_least_first_and_what_cannot_be_told_is_said():
    found = types(
        B=(50, 50, 0.9, 0.9, "as real"),
        T=(30, 30, 0.5, 0.8, "unlike real"),
        NK=(25, 25, 0.1, 0.9, "unlike real"),
        rare=(8, 8, 1.0, 0.5, "cannot tell"),
        rarest=(2, 8, 1.0, 0.5, "too few cells"),
    )
    verdict = judge(table(rf_auc=(0.5, 0.47, 0.53)), found)
    assert verdict.findings[0].startswith("2 types of 5 unlike real cells of the type: NK (10% of 25 cells recognized")
    assert any("1 type with fewer than 20 cells of a set: rare" in note for note in verdict.notes)
    assert any("1 type with fewer than five: rarest" in note for note in verdict.notes)
    assert "some types are unlike real ones" in verdict.headline


def test_without_training_cells_or_types_that_is_said():
    notes = judge(table(rf_auc=(0.5, 0.47, 0.53))).notes
    assert any("needs the training cells" in note for note in notes)
    assert any("labels_key" in note for note in notes)
    copies = judge(table(rf_auc=(0.5, 0.47, 0.53), copy_ratio=(0.0, 1.0, -50)))
    assert copies.findings[0].startswith("Copies: ")
    assert not any("no sign of copies" in note for note in copies.notes)


def test_other_tables_are_refused():
    for other in (pd.DataFrame(), {"rf_auc": 1}, table(mmd=(0, 0, 0))):
        with pytest.raises(ValueError, match="table must be that of activa.metrics.evaluate"):
            judge(other)


def test_every_metric_has_words_for_its_faults():
    for name, metric in METRICS.items():
        assert metric.question.endswith("?"), name
        assert metric.fault.endswith("."), name
        assert metric.description.endswith("."), name
        assert metric.best is None or np.isfinite(metric.best), name
