"""What is read of the machine, from files as kernels write them."""

from pathlib import Path

from pachlet.worker.hardware import machine_facts

CPUINFO = "processor\t: 0\nmodel name\t: A Processor @ 2 GHz\nflags\t\t: {}\n\nprocessor\t: 1\nmodel name\t: another\n"
GPU = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 91\n"
DRIVER = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version:\n"
)


def test_processor_gpus_and_driver(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO.format("fpu avx2 sse"))
    for number in (1, 2):
        folder = tmp_path / f"driver/nvidia/gpus/0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(GPU)
    (tmp_path / "driver/nvidia/version").write_text(DRIVER)
    facts = machine_facts(tmp_path)
    assert facts["cpu"] == "A Processor @ 2 GHz"
    assert facts["gpus"] == ["NVIDIA H100 80GB HBM3"] * 2
    assert facts["gpu_driver"] == "550.54.15"


def test_the_order_of_instruction_sets_is_no_difference_and_one_more_is(tmp_path: Path) -> None:
    found = []
    for number, flags in enumerate(("fpu avx2", "avx2 fpu", "avx2 fpu avx512f")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "cpuinfo").write_text(CPUINFO.format(flags))
        found.append(machine_facts(folder)["cpu_flags"])
    assert found[0] == found[1] != found[2]


def test_a_machine_that_says_nothing_has_no_gpu(tmp_path: Path) -> None:
    facts = machine_facts(tmp_path)
    assert (facts["gpus"], facts["gpu_driver"]) == ([], "")
    assert facts["cpu"]
