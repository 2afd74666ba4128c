"""The core: slices at their stops, queues, host port. The only place that knows positions."""

from collections import defaultdict

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tsp.hw import isa
from tsp.hw.export import assembly, loops, repeated, shared
from tsp.hw.fault import FAULT_KINDS, FaultKind
from tsp.hw.hop import Hop, any_of
from tsp.hw.host import (
    HOST_READ,
    FaultRecorder,
    HostPort,
    ProgramClock,
    ReadGather,
    ReadPath,
    RequestPath,
    host_bits,
)
from tsp.hw.icu import QueueControl
from tsp.hw.isa import Unit, timing
from tsp.hw.mem import Bank
from tsp.hw.mxm import Plane
from tsp.hw.stream import StreamRow
from tsp.hw.sxm import SxmUnit, drive_ports
from tsp.hw.vxm import Vxm


class Chip(wiring.Component):
    """A tensor streaming core of the given configuration.

    The host loads SRAM and queues, starts the program, and reads the results at its end.

    Latency
    -------
    A program takes exactly the cycles that its schedule says.

    Parameters
    ----------
    config : Config

    Members
    -------
    host : In(HostPort)
    """

    def __init__(self, config):
        self.config = config
        super().__init__({"host": In(HostPort(host_bits(config)))})

    def elaborate(self, platform):
        m = Module()
        plan = self.config.floorplan
        # By slice: faults of this cycle, of the last, and of the one before.
        self.faults = [([], [], []) for _ in plan.slices]
        self.endings = defaultdict(list)  # by cycles: what happens now and is over then
        self.answers = []
        m.submodules.requests = requests = RequestPath(self.config, host_bits(self.config))
        for name in ("address", "write", "read", "write_data"):
            m.d.comb += getattr(requests, name).eq(getattr(self.host, name))
        request = requests.request
        queues = self._queues(m, platform, request)
        hops = self._hops(m, platform)
        for stop, row in enumerate(hops):
            for where in plan.slices:
                if where.stop == stop:
                    mine = {(q.unit, q.port): queues[q] for q in plan.queues_of(where)}
                    plug = {
                        "MEM": self._mem,
                        "MXM": self._mxm,
                        "VXM": self._vxm,
                        "SXM": self._sxm,
                    }.get(where.kind)
                    if plug:
                        plug(m, platform, where, mine, row, request)
        self._control(m, platform, queues, requests)
        return m

    def _queues(self, m, platform, request):
        """Every instruction queue, by the floor plan's queue."""
        queues = {}
        for place in self.config.floorplan.queues:
            queue = QueueControl(self.config, place.unit, place.special)
            name = "queue_" + place.name.lower().replace(".", "_")
            m.submodules[name] = shared(platform, queue.module_name, queue)
            m.d.comb += [
                queue.load.word_en.eq(request.words[place.index]),
                queue.load.count_en.eq(request.counts[place.index]),
                queue.load.index.eq(request.address.low),
                queue.load.word.eq(request.write_data),
                queue.load.meaning.eq(getattr(request, f"meaning_{place.unit.word_bits}")),
                queue.load.count.eq(request.write_data),
            ]
            self.faults[place.slice.index][0].append(queue.fault)
            queues[place] = queue
        return queues

    def _hops(self, m, platform):
        """The stream registers: at each stop one hop per superlane, connected east and west."""
        config, plan = self.config, self.config.floorplan
        streams = config.streams
        nothing = Signal(StreamRow(config.lanes, streams))
        rows = []
        for stop in range(plan.stops):
            kinds = [s.kind for s in plan.slices if s.stop == stop]
            planes = config.planes_west if stop == 0 else config.planes_east
            units = sum(q.unit is Unit.SXM and q.stop == stop for q in plan.queues)
            banks = 2 * kinds.count("MEM")
            drivers = banks + planes * ("MXM" in kinds) + config.alus * ("VXM" in kinds)
            row = []
            for _ in range(config.superlanes):
                hop = Hop(
                    lanes=config.lanes,
                    streams=streams,
                    drivers=drivers,
                    width=1 if banks else 4,
                    taps=banks,
                    quads=units * drive_ports(config),
                )
                hop.sockets, hop.quad_sockets = iter(range(drivers)), iter(range(hop.quads))
                row.append(hop)
            if loops(platform) and not platform.waves:
                m.submodules[f"hop{stop}"] = repeated(platform, hop.module_name, row)
            else:
                for i, hop in enumerate(row):
                    m.submodules[f"hop{stop}_{i}"] = shared(platform, hop.module_name, hop)
            rows.append(row)
        for stop, row in enumerate(rows):
            for i, hop in enumerate(row):
                # What enters at the ends of the row is invalid.
                east = rows[stop - 1][i].east_next if stop else nothing
                west = rows[stop + 1][i].west_next if stop + 1 < plan.stops else nothing
                m.d.comb += [hop.east.eq(east), hop.west.eq(west)]
                if hop.drivers or hop.quads:
                    first = next(s for s in plan.slices if s.stop == stop)
                    self._trap(m, first, FaultKind.CONFLICT, hop.conflict)
        self.driven = [row[0].driven for row in rows if row[0].drivers or row[0].quads]
        return rows

    def _trap(self, m, where, kind, condition, ago=1):
        """Report `condition`, which held `ago` cycles ago, as a fault of `kind` in `where`."""
        fault = Signal(FAULT_KINDS)
        m.d.comb += fault[kind].eq(condition)
        self.faults[where.index][ago].append(fault)

    def _lasts(self, cycles, condition):
        """If `condition` is set, tile 0 starts something that ends `cycles` cycles later."""
        self.endings[cycles + self.config.superlanes - 1].append(condition)

    def _lasts_of(self, unit, issue):
        """An issued instruction ends when the table of latencies says so."""
        opcodes = defaultdict(list)
        for number, instruction in isa.ISA.items():
            if instruction.unit is unit and instruction.executed:
                opcodes[instruction.timing(self.config).last].append(number)
        opcode = issue.word[: isa.base.OPCODE_BITS]
        for cycles, numbers in opcodes.items():
            mine = any_of([opcode == n for n in numbers]) if len(opcodes) > 1 else 1
            self._lasts(cycles, issue.valid & mine)

    def _mem(self, m, platform, where, queues, hops, request):
        """A MEM slice: two banks, each with a tap and a driver at every hop of the stop."""
        for port in range(2):
            bank = Bank(self.config)
            m.submodules[f"{where.name.lower()}_{port}"] = assembly(platform, "mem_bank", bank)
            wiring.connect(m, queues[Unit.MEM, port].issue, bank.issue)
            invalid = []
            for i, hop in enumerate(hops):
                socket = next(hop.sockets)
                m.d.comb += [
                    hop.enable[socket].eq(bank.tap[i].write),
                    hop.stream[socket].eq(bank.tap[i].stream),
                    hop.westward[socket].eq(bank.tap[i].westward),
                    bank.sample[i].eq(hop.sample[socket]),
                    hop.drive[socket].eq(bank.drive[i]),
                ]
                invalid.append(hop.invalid[socket])
            self._trap(m, where, FaultKind.INVALID, any_of(invalid))
            self._host_access(m, request, where, port, bank)

    def _host_access(self, m, request, where, port, bank):
        """Let the host read and write the SRAM of a bank."""
        host = bank.host
        m.d.comb += [
            host.select.eq(request.banks[2 * where.index + port]),
            host.write.eq(request.write),
            host.address.eq(request.address.low),
            host.data.eq(request.write_data),
        ]
        self.answers.append(bank.read_data)

    def _gather(self, m, platform, reading):
        """The SRAM word that the host reads, superlane by superlane."""
        words = []
        for i in range(self.config.superlanes):
            gather = ReadGather(len(self.answers), self.config.lanes)
            m.submodules[f"gather{i}"] = shared(platform, gather.module_name, gather)
            m.d.comb += gather.reading.eq(reading)
            for port, answer in zip(gather.answers, self.answers, strict=True):
                m.d.comb += port.eq(answer.word_select(i, len(port)))
            words.append(gather.read_data)
        return Cat(words)

    def _mxm(self, m, platform, where, queues, hops, request):
        """An MXM: its planes tap the same streams, and each has a driver at every hop."""
        for port in sorted({port for _, port in queues}):
            plane = Plane(self.config)
            m.submodules[f"{where.name.lower()}_{port}"] = assembly(platform, "mxm_plane", plane)
            for unit in (Unit.LW, Unit.IW, Unit.ABC, Unit.ACC):
                issue = getattr(plane, unit.value.lower())
                wiring.connect(m, queues[unit, port].issue, issue)
            self._tap_all(m, plane, hops)
            for i, hop in enumerate(hops):
                m.d.comb += hop.drive[next(hop.sockets)].eq(plane.drive[i])
            self.faults[where.index][1].append(plane.fault)

    def _vxm(self, m, platform, where, queues, hops, request):
        """The VXM: each ALU has a driver at every hop."""
        vxm = Vxm(self.config)
        m.submodules.vxm = assembly(platform, "vxm", vxm)
        for alu in range(self.config.alus):
            wiring.connect(m, queues[Unit.VXM, alu].issue, vxm.issue[alu])
        self._tap_all(m, vxm, hops)
        for i, hop in enumerate(hops):
            for alu in range(self.config.alus):
                m.d.comb += hop.drive[next(hop.sockets)].eq(vxm.drive[i][alu])
        self.faults[where.index][1].append(vxm.fault)
        # What waits is over as long after its turn as if it had been issued just before.
        self._lasts(timing.vxm_result(self.config) - timing.VXM_SAMPLE, vxm.pending)

    def _sxm(self, m, platform, where, queues, hops, request):
        """An SXM: its units tap the same streams, and drive quads of them."""
        for port in sorted({port for _, port in queues}):
            unit = SxmUnit(self.config)
            m.submodules[f"{where.name.lower()}_{port}"] = assembly(platform, "sxm_unit", unit)
            wiring.connect(m, queues[Unit.SXM, port].issue, unit.issue)
            self._tap_all(m, unit, hops)
            for i, hop in enumerate(hops):
                m.d.comb += [hop.quad[next(hop.quad_sockets)].eq(quad) for quad in unit.drive[i]]
            self.faults[where.index][2].append(unit.fault)

    def _tap_all(self, m, unit, hops):
        """Give a unit every stream that arrives at its stop."""
        for i, hop in enumerate(hops):
            m.d.comb += [unit.east[i].eq(hop.east), unit.west[i].eq(hop.west)]

    def _control(self, m, platform, queues, requests):
        """Start, barrier, end, faults, counters and the host's answers."""
        plan, request = self.config.floorplan, requests.request
        for place, queue in queues.items():
            self._lasts_of(place.unit, queue.issue)
        longest = max(self.endings)
        m.submodules.clock = clock = ProgramClock(longest, timing.verdict(self.config))
        m.submodules.recorder = recorder = FaultRecorder(len(plan.slices))
        m.submodules.reads = reads = ReadPath(len(plan.queues), len(plan.slices))

        for place, queue in queues.items():
            m.d.comb += [queue.start.eq(request.start), queue.resume.eq(clock.resume)]
            m.d.comb += reads.busy[place.index].eq(queue.busy)
        m.d.comb += [
            clock.start.eq(request.start),
            clock.notify.eq(any_of([queue.notify for queue in queues.values()])),
            clock.idle.eq(Cat(queue.done for queue in queues.values()).all()),
            clock.ending.eq(Cat(any_of(self.endings[n]) for n in range(1, longest + 1))),
            requests.locked.eq(clock.locked),
        ]
        for place in plan.slices:
            self._trap(m, place, FaultKind.HOST, request.refused[place.index], ago=0)
        # Faults and counts stand in registers before they meet, so all are late by as much.
        cycle = clock.cycles
        for step in range(len(self.faults[0])):
            before, cycle = cycle, Signal(32, name=f"cycle_{step}")
            m.d.sync += cycle.eq(before)
        m.d.comb += recorder.cycle.eq(cycle)
        for index, steps in enumerate(self.faults):
            known = 0
            for step, faults in enumerate(steps):
                before, known = known, Signal(FAULT_KINDS, name=f"fault_{index}_{step}")
                m.d.sync += known.eq(any_of([before, *faults]))
            m.d.comb += recorder.faults[index].eq(known)
        counted = Signal()
        stream_words = Signal(48)
        m.d.sync += counted.eq(clock.counting)
        with m.If(counted):
            m.d.sync += stream_words.eq(stream_words + sum(self.driven))

        m.d.comb += [
            *(
                getattr(reads, n).eq(getattr(request, n))
                for n in ("read", "registers", "queues", "slices")
            ),
            reads.status.running.eq(clock.running),
            reads.status.done.eq(clock.done),
            reads.status.fault.eq(recorder.record.valid),
            reads.cycles.eq(clock.cycles),
            reads.record.eq(recorder.record),
            reads.kinds.eq(recorder.kinds),
            reads.stream_words.eq(stream_words),
            reads.bad_requests.eq(requests.bad_requests),
            *[a.eq(b) for a, b in zip(reads.held, recorder.held, strict=True)],
        ]
        # A request is two cycles old when it is read, and banks answer two cycles later.
        reading = Signal(HOST_READ - 2)
        read_data = self._gather(m, platform, reading[1])
        m.d.sync += [
            reading.eq(Cat(request.read, reading)),
            self.host.read_data.eq(read_data | reads.value),
        ]
        m.d.comb += self.host.read_valid.eq(reading[-1])
