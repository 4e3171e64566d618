"""Teaches a small CLIP, image tower and text tower, with drawn people and their descriptions.

Examples:
    python tools/pretrain_clip.py --output logs/taught/clip.pt
    python tools/pretrain_clip.py --output logs/taught/resnet18.pth --model resnet18 --seed 1

CLIP's weights do not exist for small towers; this gives one what CLIP's have: it knows from descriptions what a person
looks like, in either modality. Its people and cameras are in no synthetic set whose --seed is --seed-of-set.
The output is an ordinary open_clip checkpoint, for MODEL.BACKBONE.PRETRAIN_PATH; of resnet18, the host's backbone.
OUTPUT.json beside it says how it was made, and how often descriptions find pictures of people unseen in training.
Equal options give equal weights on one machine. Exit status: 0 done, 2 wrong usage, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _checkout  # noqa: F401  (puts the checkout on sys.path)
from _command import run_tool, tool_parser

SIZE = (96, 48)


def main(arguments: Sequence[str] | None = None) -> int:
    """Teaches and writes; returns the exit status."""
    return run_tool(_parser(), _teach, arguments, if_interrupted="nothing was written")


def _teach(args: argparse.Namespace) -> int:
    import json
    import time
    from dataclasses import asdict

    import torch

    import xreid_plugin  # noqa: F401  (fixes the host)
    from projects.PretrainCLIP.pictures import draw_pictures
    from projects.PretrainCLIP.training import Schedule, build_clip, find_by_description, save, teach
    from projects.SyntheticPeople import SyntheticSettings
    from xreid_plugin.files import replace_atomically

    start = time.monotonic()
    schedule = Schedule(args.steps, args.batch, args.rate, black_and_white=args.black_and_white, half=args.bfloat16)
    torch.manual_seed(args.seed)
    clip = build_clip(args.model, tuple(args.size))
    settings = SyntheticSettings(size=tuple(args.size), seed=args.seed_of_set)
    people = draw_pictures(settings, args.held_out, args.people, args.each, args.infrared, args.workers)
    held_out = draw_pictures(settings, 0, args.held_out, 4, 0.5, args.workers)
    before = find_by_description(clip, held_out)
    drawn = time.monotonic()
    losses = teach(clip, people, schedule, args.seed)
    found = find_by_description(clip, held_out)
    for name, now, then in zip(("visible", "infrared"), found, before, strict=False):
        print(f"Description to {name} picture: {now:.1f} % ({then:.1f} % untaught, {found.chance:.1f} % by chance)")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(args.output, lambda part: save(clip, part))
    facts = {
        "model": args.model,
        "seed": args.seed,
        "people": args.people,
        "pictures": len(people.pixels),
        **asdict(schedule),
        "last_loss": sum(losses[-20:]) / len(losses[-20:]),
        "before": before._asdict(),
        "zero_shot": found._asdict(),
        "seconds_of_drawing": round(drawn - start),
        "seconds_of_teaching": round(time.monotonic() - drawn),
    }
    note = args.output.with_name(f"{args.output.name}.json")
    replace_atomically(note, lambda part: part.write_text(json.dumps(facts, indent=2) + "\n"))
    print(f"Written to {args.output}; give it to training by MODEL.BACKBONE.PRETRAIN_PATH {args.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser(__file__, __doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the checkpoint")
    add = parser.add_argument_group("what is taught").add_argument
    text = "as MODEL.BACKBONE.CLIP_MODEL, or resnet18 for the image tower (default: %(default)s)"
    add("--model", default="xreid-demo", metavar="NAME", help=text)
    add("--size", type=int, nargs=2, default=SIZE, metavar=("HEIGHT", "WIDTH"), help="pixels (default: 96 48)")
    add("--seed", type=int, default=0, metavar="N", help="of weights and batches (default: %(default)s)")
    add = parser.add_argument_group("the pictures").add_argument
    add("--people", type=int, default=3000, metavar="N", help="default: %(default)s")
    add("--each", type=int, default=6, metavar="N", help="pictures of a person (default: %(default)s)")
    add("--infrared", type=float, default=0.1, metavar="SHARE", help="of the pictures (default: %(default)s)")
    text = "of the visible pictures that lose their hues, anew each time (default: %(default)s)"
    add("--black-and-white", type=float, default=0.6, metavar="SHARE", help=text)
    add(
        "--held-out", type=int, default=200, metavar="N", help="further people, for the accuracy (default: %(default)s)"
    )
    add("--seed-of-set", type=int, default=0, metavar="N", help="of the set to keep away from (default: %(default)s)")
    add = parser.add_argument_group("the schedule").add_argument
    add("--steps", type=int, default=1000, metavar="N", help="default: %(default)s")
    add("--batch", type=int, default=128, metavar="N", help="pictures of as many people (default: %(default)s)")
    add("--rate", type=float, default=0.001, metavar="LR", help="the highest (default: %(default)s)")
    add("--bfloat16", action="store_true", help="multiply in bfloat16: faster on processors that have it")
    add("--workers", type=int, default=1, metavar="N", help="processes that draw (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
