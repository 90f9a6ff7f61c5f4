"""The boxes in which a tree has no leaf."""

import torch
from torch import Tensor

from kanpinn.cells.tree import Tree


def gaps(tree: Tree) -> tuple[Tensor, Tensor]:
    """The levels and places of boxes that fill what the leaves of a tree leave free, (n, d) each.

    Boxes are halved as long as they contain smaller leaves, in a coordinate in which all of these
    are smaller. There is always one, because the leaves come from halvings.

    Args:
        tree: a tree of one region.
    """
    whole = Tree.uniform(tree.roots)
    level, place = whole.level, whole.place
    own, leaves = whole.locate(tree.boxes.mean(dim=1), torch.zeros(len(tree)).long()), tree
    found = []
    while len(level):
        depth = torch.full_like(level, -1)
        depth.scatter_reduce_(
            0,
            own[:, None].expand(-1, tree.dim),
            leaves.level - level[own],
            "amin",
            include_self=False,
        )
        empty = depth[:, 0] < 0
        found.append(torch.cat([level[empty], place[empty]], dim=1))
        deepest, axis = depth.max(dim=1)
        halved = deepest > 0
        number = halved.long().cumsum(dim=0) - 1
        kept = halved[own]
        leaves, own = leaves.only(kept), own[kept]
        step = torch.zeros_like(level).scatter(1, axis[:, None], 1)
        finer = (leaves.level - level[own] - step[own]).clamp_min(0)
        upper = ((leaves.place >> finer) & step[own]).sum(dim=1)
        level, place, step = (level + step)[halved], (place << step)[halved], step[halved]
        own = 2 * number[own] + upper
        level = level.repeat_interleave(2, dim=0)
        place = torch.stack([place, place + step], dim=1).flatten(0, 1)
    level, place = torch.cat(found).tensor_split(2, dim=1)
    return level, place
