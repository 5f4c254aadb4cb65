"""The s4r command."""

from __future__ import annotations

import sys

import typer

from sparse_s4r.cli.arguments import SEVERAL, repeat_options
from sparse_s4r.cli.check import check_command
from sparse_s4r.cli.demo import demo_command
from sparse_s4r.cli.environment import prepare_environment
from sparse_s4r.cli.evaluate import evaluate_command
from sparse_s4r.cli.gazebo import synth_world_command
from sparse_s4r.cli.import_ import import_command
from sparse_s4r.cli.label import label_command
from sparse_s4r.cli.pack import pack_command, unpack_command
from sparse_s4r.cli.predict import predict_command
from sparse_s4r.cli.refine import refine_command
from sparse_s4r.cli.render import render_command
from sparse_s4r.cli.synth import synth_command
from sparse_s4r.cli.train import train_command

app = typer.Typer(
    name="s4r",
    help="From a folder of posed RGB-D frames to one whole scene: geometry, colour and labels at every voxel.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("import")(import_command)
app.command("check")(check_command)
app.command("label")(label_command)
app.command("train")(train_command)
app.command("predict")(predict_command)
app.command("refine")(refine_command)
app.command("render")(render_command)
app.command("evaluate")(evaluate_command)
app.command("demo")(demo_command)
app.command("synth-world")(synth_world_command)
app.command("pack")(pack_command)
app.command("unpack")(unpack_command)
app.command("synth")(synth_command)


def main() -> None:
    """Run the command; an error that the user can mend ends in its message and exit code 2."""
    prepare_environment()
    try:
        app(repeat_options(sys.argv[1:], SEVERAL.get(next(iter(sys.argv[1:]), ""), ())))
    except ValueError as error:
        # Imported here: the package of the value types brings torch, which --help must not wait for.
        from sparse_s4r.structures.errors import UserError

        if not isinstance(error, UserError):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
