"""The compiled loops around paying: who can be paid at all, which bills there are, sums by household, and households above a line."""

from analytics.plans.kernel import BASE, NEVER, SHARE, USED, WHOLE, Array, Rows, compiled, counted


def _reached(
    rows: Rows, floor: Array, who: Array, first: int, sums: Array, lo: int, hi: int, may: Array
) -> None:
    """`may[p]`: False only where no row from `first` on can pay the person, whatever the bills are. `floor[who, row]`: the
    lowest base anything is paid above."""
    for p in range(lo, hi):
        may[p] = False
        for r in range(first, rows.terms.shape[0]):
            lowest = floor[who[p], r]
            if lowest == NEVER:
                continue
            base = counted(sums, p, rows.terms[r, BASE], rows.terms[r, SHARE])
            for k in range(r):
                if rows.terms[r, USED] >> k & 1:
                    base += counted(sums, p, rows.terms[k, BASE], rows.terms[k, SHARE])
            if base > lowest:
                may[p] = True
                break


reached = compiled(_reached)


def _met(who: Array, first: Array, sort: Array, lo: int, hi: int, there: Array) -> None:
    """Marks in `there[who, sort]` the sorts of care that each sort of person has bills of."""
    for p in range(lo, hi):
        for j in range(first[p], first[p + 1]):
            there[who[p], sort[j]] = True


met = compiled(_met)


def _above(own: Array, resource: Array, thresholds: Array, lo: int, hi: int, counts: Array) -> None:
    """Adds to `counts[stage, resource, threshold]` the households whose own burden is above the threshold (basis points);
    `own[stage]` and `resource[kind]` by household. A resource that is not above zero counts nowhere."""
    for stage in range(own.shape[0]):
        for kind in range(resource.shape[0]):
            for z in range(thresholds.size):
                line, found = thresholds[z], 0
                for h in range(lo, hi):
                    means = resource[kind, h]
                    found += (means > 0) & (own[stage, h] * WHOLE > means * line)
                counts[stage, kind, z] += found


above = compiled(_above)


def _rolled(first: Array, place: Array, amounts: tuple[Array, ...], lo: int, hi: int, sums: Array) -> None:
    """`sums[k, h]`: of `amounts[k]` at the places `place[first[h]]` up to `place[first[h + 1]]`, for the groups `lo` to `hi`;
    without places they stand there themselves."""
    for k in range(len(amounts)):
        column = amounts[k]
        for h in range(lo, hi):
            total = 0
            if place.size:
                for i in range(first[h], first[h + 1]):
                    total += column[place[i]]
            else:
                for i in range(first[h], first[h + 1]):
                    total += column[i]
            sums[k, h] = total


rolled = compiled(_rolled)
