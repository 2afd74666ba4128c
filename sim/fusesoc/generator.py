"""The generator that `tsp.core` declares: FuseSoC calls it with what a core asks for.

It runs in FuseSoC's own Python and needs the command ``tsp`` on the path.
"""

import subprocess
from pathlib import Path

from fusesoc.capi2.generator import Generator

KNOWN = {"config", "initial_values", "instances", "prefix", "program"}


class VerilogGenerator(Generator):
    """Writes ``tsp.v``, and ``rom.hex`` if the parameter `program` is given."""

    def run(self):
        if unknown := set(self.config) - KNOWN:
            raise SystemExit(
                f"tsp_verilog takes the parameters {', '.join(sorted(KNOWN))}, "
                f"not {', '.join(sorted(unknown))}"
            )
        config = self.config.get("config", "small")
        form = ["--instances"] * self._flag("instances", False)
        form += ["--no-initial-values"] * (not self._flag("initial_values", True))
        if prefix := self.config.get("prefix"):
            form += ["--prefix", prefix]
        _tsp("verilog", "--config", config, *form, "--output", "tsp.v")
        files = [{"tsp.v": {"file_type": "verilogSource-2005"}}]
        if program := self.config.get("program"):
            source = Path(self.files_root) / program
            _tsp("rom", source, "--config", config, "--output", "rom.hex")
            files.append({"rom.hex": {"file_type": "user", "copyto": "rom.hex"}})
        self.add_files(files)

    def _flag(self, name, usual):
        value = self.config.get(name, usual)
        if not isinstance(value, bool):
            raise SystemExit(f"tsp_verilog: {name} must be true or false, not {value!r}")
        return value


def _tsp(*arguments):
    try:
        done = subprocess.run(["tsp", *map(str, arguments)], check=False)
    except FileNotFoundError:
        raise SystemExit(
            "tsp_verilog needs the command tsp on the path; install the package, or activate "
            "the environment that holds it"
        ) from None
    if done.returncode:
        raise SystemExit(f"tsp {arguments[0]} failed")


if __name__ == "__main__":
    generator = VerilogGenerator()
    generator.run()
    generator.write()
