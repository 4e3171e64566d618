"""Slow readings of both layouts, by plain loops and nothing of the plugin's: what a correct parse must equal."""

import json

CAMERAS = ["LS3", "G25", "CQ1", "W4", "TSG1", "TSG2"]


def lines(file):
    text = file.read_bytes().decode("utf-8-sig")
    found = [line.strip() for line in text.splitlines()]
    while found and not found[-1]:
        found.pop()
    return found


def read_vcm(home, min_length):
    """Training and test tracklets as (paths, identity, modality, camera), and the positions of the infrared queries."""
    splits = []
    for split in ("train", "test"):
        paths = []
        for name in lines(home / "info" / f"{split}_name.txt"):
            pid, rest = name.split("M")
            modality, rest = rest.split("D")
            camera, rest = rest.split("T")
            folder = {1: "ir", 2: "rgb"}[int(modality)]
            paths.append(f"{home}/{split.capitalize()}/{pid}/{folder}/D{camera}/{rest.split('F')[1]}")
        tracklets = []
        for line in lines(home / "info" / f"track_{split}_info.txt"):
            modality, first, last, pid, camera = map(int, line.split())
            tracklets.append((paths[first - 1 : last], pid, modality, camera))
        splits.append(tracklets)
    train, test = splits
    asked = [int(word) - 1 for line in lines(home / "info/query_IDX.txt") for word in line.split()]
    long = [t for t in test if len(t[0]) >= min_length]
    query = [sum(len(t[0]) >= min_length for t in test[:i]) for i in asked if len(test[i][0]) >= min_length]
    return [t for t in train if len(t[0]) >= min_length], long, query


def read_bupt(home):
    """Training, query and gallery tracklets as (paths, identity, modality, camera)."""
    paths = json.loads((home / "data_paths.json").read_bytes().decode("utf-8-sig"))
    sets = []
    for name in ("train", "query", "gallery"):
        tracklets = []
        for line in lines(home / f"{name}.txt"):
            pid, modalities, camera, number = line.split()
            for modality in sorted(modalities.split("/")):
                frames = [f"{home}/DATA/{path}" for path in paths[pid][modality][camera][number]]
                tracklets.append((frames, int(pid), {"IR": 1, "RGB": 2}[modality], CAMERAS.index(camera)))
        sets.append(tracklets)
    return sets
