"""Compile every CUDA unit of the edited MinkowskiEngine to PTX, without a GPU and without a CUDA build of torch.

    python third_party/minkowski/check_cuda.py                    # CUDA 13.0: compiler and headers
    python third_party/minkowski/check_cuda.py --headers 12.8     # the interfaces of CUDA 12.8

Run it with the python that has torch. It needs an nvcc of CUDA 13 (``--cuda-home``); the headers of the CUDA libraries
come from NVIDIA's wheels (0.9 GB are downloaded once, 15 MB are kept). A unit takes one to two minutes of one core.
No wheel brings an nvcc of CUDA 12, so ``--headers 12.8`` compiles with the nvcc of CUDA 13: that shows whether the
edits meet what changed in the interfaces of CUDA and thrust, and nothing about the older compiler. Nothing is linked
or run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from build import BuildError, download, make_build_venv
from edits import EDITS, EditError, apply_edits

# The wheels that have the headers of a release; 13.0 takes those of runtime and thrust from the toolkit itself.
_WHEELS = {
    "13.0": ("nvidia-cublas==13.0.*", "nvidia-cusparse==12.6.*", "nvidia-curand==10.4.*", "nvidia-cusolver==12.0.*"),
    "12.8": (
        "nvidia-cublas-cu12==12.8.*",
        "nvidia-cusparse-cu12==12.5.8.*",
        "nvidia-curand-cu12==10.3.9.*",
        "nvidia-cusolver-cu12==11.7.3.*",
        "nvidia-cuda-runtime-cu12==12.8.*",
        "nvidia-cuda-cccl-cu12==12.8.*",
    ),
}
_NO_NVCC = "no nvcc of CUDA 13 in {home}: install the CUDA toolkit 13.0 (its compiler will do), or give --cuda-home"


def library_headers(release: str) -> list[Path]:
    """Include folders of CUDA's libraries of ``release``, kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparse_s4r" / f"cuda-headers-{release}"
    if not cache.exists():
        print(f"  downloading the headers of CUDA {release}, about 0.9 GB, once", flush=True)
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".headers-", dir=cache.parent) as name:
            folder = Path(name)
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder)]
            if subprocess.run([*command, *_WHEELS[release]], check=False).returncode != 0:
                raise BuildError(f"could not download {', '.join(_WHEELS[release])}; is there a network?")
            for wheel in folder.glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(folder / "kept", [entry for entry in archive.namelist() if "/include/" in entry])
            (folder / "kept").rename(cache)
    return sorted(cache.glob("nvidia/*/include"))


def flags(source: Path, headers: Sequence[Path], generated: Path, arch: int) -> list[str]:
    """Those of MinkowskiEngine's setup.py and of torch's extension builder, to PTX."""
    from torch.utils.cpp_extension import COMMON_NVCC_FLAGS, include_paths

    # A CPU build of torch has the CUDA headers but this generated one, which holds no more than a switch for Windows.
    (generated / "c10/cuda/impl").mkdir(parents=True)
    (generated / "c10/cuda/impl/cuda_cmake_macros.h").touch()
    folders = [*headers, source / "src", source / "src/3rdparty", *map(Path, include_paths()), generated]
    return [
        "-ptx",
        f"-arch=compute_{arch}",
        "-std=c++20",
        "-O3",
        *COMMON_NVCC_FLAGS,
        "--expt-extended-lambda",
        "-DTORCH_EXTENSION_NAME=_C",
        "-DTORCH_API_INCLUDE_EXTENSION_H",
        *(f"-I{folder}" for folder in (*folders, sysconfig.get_path("include"))),
    ]


def compile_unit(nvcc: Path, unit: Path, options: Sequence[str], output: Path) -> tuple[bool, float]:
    """Whether ``unit`` becomes PTX, and the seconds it took; the compiler's words are left beside ``output``."""
    started = time.monotonic()
    with output.with_suffix(".log").open("w") as log:
        command = [str(nvcc), *options, str(unit), "-o", str(output)]
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    return code == 0 and output.stat().st_size > 0, time.monotonic() - started


def check(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Names of the units that do not compile."""
    nvcc = arguments.cuda_home / "bin" / "nvcc"
    if not nvcc.exists() or "release 13." not in subprocess.check_output([nvcc, "--version"], text=True):
        raise BuildError(_NO_NVCC.format(home=arguments.cuda_home))
    headers = library_headers(arguments.headers)
    print(f"  downloading the published source and making {len(EDITS)} edits", flush=True)
    source = download(make_build_venv(folder / "venv"), folder, ["--cpu_only", "--blas=openblas"])
    apply_edits(source, EDITS)
    options = flags(source, headers, folder / "generated", arguments.arch)
    units = sorted([*source.glob("src/*.cu"), *source.glob("pybind/*.cu")])
    units = [unit for unit in units if not arguments.units or unit.stem in arguments.units]
    failed = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(compile_unit, nvcc, unit, options, folder / f"{unit.stem}.ptx") for unit in units]
        for unit, job in zip(units, jobs, strict=True):
            compiled, seconds = job.result()
            print(f"  {unit.name:34} {'PTX' if compiled else 'FAILED'}, {seconds:.0f} s", flush=True)
            if not compiled:
                failed.append(unit.name)
                text = (folder / f"{unit.stem}.log").read_text(errors="replace").splitlines()
                print("\n".join([f"    {line}" for line in text if "error" in line][:8]))
    print(f"{len(units) - len(failed)} of {len(units)} units compiled, headers of CUDA {arguments.headers}")
    return failed


def main() -> None:
    """Compile the units that the command line asks for."""
    home = Path(os.environ.get("CUDA_HOME") or (Path(shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc").parents[1]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuda-home", type=Path, default=home, help="folder of the CUDA toolkit 13")
    parser.add_argument("--headers", choices=_WHEELS, default="13.0", help="release whose interfaces to compile for")
    parser.add_argument("--arch", type=int, default=90, help="compute capability without the dot")
    parser.add_argument("--jobs", type=int, default=1, help="units at a time, 2 GB of memory each")
    parser.add_argument("--units", nargs="*", help="names without .cu; left out: all")
    with tempfile.TemporaryDirectory(prefix="minkowski-cuda-") as name:
        try:
            failed = check(parser.parse_args(), Path(name))
        except (BuildError, EditError) as error:
            sys.exit(f"\n{error}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
