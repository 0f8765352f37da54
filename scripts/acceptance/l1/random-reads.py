"""Random reads by libnbd, several at a time, against the file itself: SOCKET FILE READS SEED."""
import random
import sys

import nbd

socket, file, reads, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
chance = random.Random(seed)
handle = nbd.NBD()
handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
handle.set_export_name("disk")
handle.connect_unix(socket)
size = handle.get_size()
wrong = 0
with open(file, "rb") as original:
    left = reads
    while left > 0:
        # Some are short, some long, some at the very end; a dozen is under way at once.
        batch = []
        for _ in range(min(12, left)):
            length = chance.choice([1, 512, 4096, 65536, chance.randrange(1, 1 << 20)])
            offset = chance.choice([chance.randrange(0, size - length + 1), size - length])
            buffer = nbd.Buffer(length)
            batch.append((handle.aio_pread(buffer, offset), buffer, offset, length))
        for cookie, buffer, offset, length in batch:
            while not handle.aio_command_completed(cookie):
                handle.poll(-1)
            original.seek(offset)
            if bytes(buffer.to_bytearray()) != original.read(length):
                wrong += 1
        left -= len(batch)
handle.shutdown()
print(f"{reads} reads, {wrong} wrong")
sys.exit(0 if wrong == 0 else 1)
