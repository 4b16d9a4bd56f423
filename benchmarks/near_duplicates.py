"""How near-duplicates are found among many images: by blocks of their hashes, against comparing all pairs.

    python benchmarks/near_duplicates.py [--sizes 10000 100000 1000000] [--rounds 3] [--quick] [--json FILE]

Random perceptual hashes stand for images, a tenth of them for the test split. Among the others copies are planted whose
hashes differ in 0 to 4 bits, half of them mirrored; reading and hashing images is in benchmarks/data.py. All pairs are
compared on a sample of the test hashes and extrapolated to all. Both take turns, in CPU time; memory is the peak that
one comparison allocates. Grey values, which confirm each pair, are left out: their number is that of the pairs.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
import tracemalloc
from typing import Any

import numpy as np
from reporting import create_parser, describe_machine, summarize, write_json

from xaiaug.data import near_duplicates
from xaiaug.data.near_duplicates import MAX_DISTANCE, Hashes

SIZES, QUICK = (10_000, 100_000, 1_000_000), (2_000, 20_000)
PLANTED = 500
PAIRS = 2 * 10**8  # compared in a sample
SEED = 0


def create_hashes(size: int) -> tuple[Hashes, Hashes, set[tuple[int, int]]]:
    """The hashes of test and of the rest, and the planted pairs."""
    generator = np.random.default_rng(SEED)
    ones, others = (
        Hashes(*generator.integers(0, 2**64, (2, count), dtype=np.uint64, endpoint=False))
        for count in (size // 10, size - size // 10)
    )
    planted = set()
    for number in range(min(PLANTED, len(ones.plain))):
        row, column = number * len(ones.plain) // PLANTED % len(ones.plain), number * len(others.plain) // PLANTED
        bits = generator.choice(64, size=number % (MAX_DISTANCE + 1), replace=False)
        (others.plain if number % 2 else others.mirror)[column] = ones.plain[row] ^ np.uint64(
            sum(1 << int(bit) for bit in bits)
        )
        planted.add((row, column))
    return ones, others, planted


def measure(size: int, rounds: int) -> dict[str, Any]:
    """Both ways on hashes of one size, in turn."""
    ones, others, planted = create_hashes(size)
    sample = min(len(ones.plain), max(1, PAIRS // len(others.plain)))
    first = Hashes(ones.plain[:sample], ones.mirror[:sample])
    by_blocks, all_pairs = [], []
    for _ in range(rounds):
        began = time.process_time()
        found = {(row, column) for row, column, _ in near_duplicates._compare_by_blocks(ones, others)}
        by_blocks.append(time.process_time() - began)
        began = time.process_time()
        expected = list(near_duplicates._compare_all(first, others))
        all_pairs.append((time.process_time() - began) * len(ones.plain) / sample)
        if not {(row, column) for row, column, _ in expected} <= found:
            raise RuntimeError("the blocks missed pairs that comparing all finds")
    return {
        "hashes": size,
        "found": len(planted & found),
        "planted": len(planted),
        "by blocks": summarize(by_blocks),
        "all pairs": summarize(all_pairs),
        "all pairs were compared for": sample / len(ones.plain),
        "ratio": summarize([b / a for a, b in zip(by_blocks, all_pairs, strict=True)]),
    }


def measure_memory(size: int) -> dict[str, float]:
    """Peak of what the comparison allocates, and the size of the hashes."""
    ones, others, _ = create_hashes(size)
    tracemalloc.start()
    sum(1 for _ in near_duplicates._compare_by_blocks(ones, others))
    return {"megabytes": tracemalloc.get_traced_memory()[1] / 1e6, "hashes megabytes": 16 * size / 1e6}


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    if options.memory_of:
        print(json.dumps(measure_memory(options.memory_of)))
        return
    rows = []
    for size in QUICK if options.quick else options.sizes:
        command = [sys.executable, __file__, "--memory-of", str(size)]
        memory = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        rows.append({**measure(size, 1 if options.quick else options.rounds), **memory})
        row = rows[-1]
        print(
            f"{size:>10,} hashes: {row['found']} of {row['planted']} planted pairs found, "
            f"{row['by blocks']['median']:.2f} s and {row['megabytes']:.0f} MB by blocks, "
            f"{row['all pairs']['median']:.2f} s by all pairs",
            flush=True,
        )
    figures: dict[str, Any] = {"rows": rows}
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        figures["exponent"] = math.log(last["by blocks"]["median"] / first["by blocks"]["median"]) / math.log(
            last["hashes"] / first["hashes"]
        )
        print(f"exponent {figures['exponent']:.2f}")
    print(describe_machine()["summary"])
    if options.json:
        write_json(options.json, figures, seeds=[SEED])


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK[0]:,} and {QUICK[1]:,} hashes, one round")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of hashes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
