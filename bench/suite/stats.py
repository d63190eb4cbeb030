"""Medians and ranges over rounds."""
import statistics


class Figure:
    """One metric of one contender: the median of the rounds, with the lowest and the highest."""

    def __init__(self, values):
        self.values = sorted(values)
        self.median = statistics.median(self.values)
        self.low, self.high = self.values[0], self.values[-1]


def figure(results, workload, contender, point, metric):
    """The Figure, or None where nothing was measured. `point` is None or that of a growth curve."""
    rounds = results.get(workload, {}).get(contender, {}).get(str(point), [])
    values = [one[metric] for one in rounds if one.get(metric) is not None]
    return Figure(values) if values else None


def ratio(results, workload, metric, contender, other, point=None, other_point=None):
    """The median of one over that of the other, both of the same rounds; None without both.

    Rounds are interleaved: what disturbs the machine disturbs both, so that the ratio of each
    round is taken first and the median of those after.
    """
    ours = results.get(workload, {}).get(contender, {}).get(str(point), [])
    if other_point is None:
        other_point = point
    theirs = results.get(workload, {}).get(other, {}).get(str(other_point), [])
    ratios = [a[metric] / b[metric] for a, b in zip(ours, theirs) if a.get(metric) and b.get(metric)]
    return Figure(ratios) if ratios else None
