# The guest of `tartlet demo --lazy`: a UEFI application for x86-64. It reads the parts of its own disk that a table
# names, as a boot would, adds up what it read, says by the serial port whether that is what it should be, and turns the
# machine off. Nothing else: no memory is allocated, no driver loaded.
#
# It lies at 0x1000 of its image; the table at 0x2000, the buffer at 0x4000 (src/cli/demo/demo-guest.ts).
# `node scripts/demo-guest.mjs` assembles it, and writes it to src/cli/demo/guest-code.ts.

.intel_syntax noprefix
.text
start:                                  # rcx: our handle, rdx: the system table
    push rbx
    push rsi
    push rdi
    push r12
    push r13
    push r14
    push r15
    sub rsp, 0x40
    mov r15, rdx
    mov rbx, [rdx + 96]                 # boot services
    lea rdx, [rip + loaded_image]
    lea r8, [rsp + 0x30]
    call [rbx + 152]                    # HandleProtocol: what do we come from?
    test rax, rax
    jnz failed
    mov rax, [rsp + 0x30]
    mov rcx, [rax + 24]                 # the device
    lea rdx, [rip + block_io]
    lea r8, [rsp + 0x30]
    call [rbx + 152]                    # HandleProtocol: the disk
    test rax, rax
    jnz failed
    mov rsi, [rsp + 0x30]
    lea rdi, [rip + start + 0x1010]     # the table: block, bytes, pause; no bytes end it
    xor r12d, r12d
read:
    mov r8, [rdi]
    mov r9, [rdi + 8]
    test r9, r9
    jz compare
    mov rax, [rsi + 8]
    mov edx, [rax]                      # the medium
    mov rcx, rsi
    lea r14, [rip + start + 0x3000]     # the buffer
    mov [rsp + 0x20], r14
    call [rsi + 24]                     # ReadBlocks
    test rax, rax
    jnz failed
    mov rcx, [rdi + 8]
    shr rcx, 3
add_up:
    add r12, [r14]
    add r14, 8
    dec rcx
    jnz add_up
    mov rcx, [rdi + 16]
    call [rbx + 248]                    # Stall: microseconds
    add rdi, 24
    jmp read
compare:
    cmp r12, [rip + start + 0x1000]
    jne failed
    lea rsi, [rip + ready_text]
    jmp say
failed:
    lea rsi, [rip + failed_text]
say:
    mov edx, 0x3f8
next:
    lodsb
    test al, al
    jz turn_off
    out dx, al
    jmp next
turn_off:
    mov rax, [r15 + 88]                 # runtime services
    mov ecx, 2                          # a shutdown
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    call [rax + 104]                    # ResetSystem
stop:
    hlt
    jmp stop

    .balign 8
loaded_image:                           # 5b1b31a1-9562-11d2-8e3f-00a0c969723b
    .byte 0xa1, 0x31, 0x1b, 0x5b, 0x62, 0x95, 0xd2, 0x11, 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b
block_io:                               # 964e5b21-6459-11d2-8e39-00a0c969723b
    .byte 0x21, 0x5b, 0x4e, 0x96, 0x59, 0x64, 0xd2, 0x11, 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b
ready_text:
    .asciz "guest: ready\r\n"
failed_text:
    .asciz "guest: this is not my disk\r\n"
