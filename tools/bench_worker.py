"""Measures what it is asked on standard input, a JSON list of requests, and answers one JSON line each."""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.bench_operations import NETWORK_OPERATIONS, operation_call
from tools.bench_process import Call, OutOfReachError, Request, measure


def answer(request: Request) -> dict[str, Any]:
    """The fields of a ``Measurement``, or the reason why there is none."""
    try:
        with _call(request) as call:
            return asdict(measure(call, request.repeats, torch.device(request.device)))
    except OutOfReachError as error:
        return {"reason": str(error)}
    except Exception as error:
        # One engine's failure is a line in the table, not the end of the others' figures.
        traceback.print_exc()
        said = str(error).strip().partition("\n")[0]
        return {"reason": f"it failed with {type(error).__name__}: {said}"}


def _call(request: Request) -> AbstractContextManager[Call]:
    if request.operation not in NETWORK_OPERATIONS:
        return operation_call(request)
    # Imported here: the network brings seconds of imports, which a single operation should not wait for.
    from tools.bench_network import network_call

    return network_call(request)


def main() -> None:
    """Answer the requests on standard input."""
    # Whatever a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for fields in json.load(sys.stdin):
        fields["settings"] = tuple(fields["settings"])
        print(json.dumps(answer(Request(**fields))), file=answers, flush=True)


if __name__ == "__main__":
    main()
