#include "textflag.h"

DATA ones<>+0(SB)/8, $0x0001000100010001
GLOBL ones<>(SB), RODATA|NOPTR, $8
DATA most<>+0(SB)/8, $0x7f7f7f7f7f7f7f7f
GLOBL most<>(SB), RODATA|NOPTR, $8
DATA turn<>+0(SB)/4, $0
DATA turn<>+4(SB)/4, $4
DATA turn<>+8(SB)/4, $1
DATA turn<>+12(SB)/4, $5
DATA turn<>+16(SB)/4, $2
DATA turn<>+20(SB)/4, $6
DATA turn<>+24(SB)/4, $3
DATA turn<>+28(SB)/4, $7
GLOBL turn<>(SB), RODATA|NOPTR, $32

// A sum of pixels times weights, two columns of one row: each output has a lane of 32 bits.
#define PAIR(o, row, w) \
	VPBROADCASTD o(row), Y4; \
	VPBROADCASTD o+4(row), Y5; \
	VPBROADCASTD o+8(row), Y6; \
	VPBROADCASTD o+12(row), Y7; \
	VMOVDQU w(BX), Y8; \
	VPMADDWD Y8, Y4, Y4; \
	VPMADDWD Y8, Y5, Y5; \
	VPMADDWD Y8, Y6, Y6; \
	VPMADDWD Y8, Y7, Y7; \
	VPADDD Y4, Y0, Y0; \
	VPADDD Y5, Y1, Y1; \
	VPADDD Y6, Y2, Y2; \
	VPADDD Y7, Y3, Y3

#define ROW(row, w) PAIR(0, row, w); PAIR(4, row, w+32); PAIR(8, row, w+64)

// func windowsAVX2(row *int16, stride int, l *[15][8][2]int16, bias, shift *[firsts]int32, out *uint8, fours int)
TEXT ·windowsAVX2(SB), NOSPLIT, $0-56
	MOVQ row+0(FP), SI
	MOVQ stride+8(FP), AX
	MOVQ l+16(FP), BX
	MOVQ bias+24(FP), CX
	MOVQ shift+32(FP), DX
	MOVQ out+40(FP), DI
	MOVQ fours+48(FP), R13
	LEAQ (SI)(AX*1), R9
	LEAQ (R9)(AX*1), R10
	LEAQ (R10)(AX*1), R11
	LEAQ (R11)(AX*1), R12
	VMOVDQU (CX), Y12
	VMOVDQU (DX), Y13
	VMOVDQU turn<>(SB), Y14
	VPBROADCASTQ most<>(SB), Y15

windows:
	VMOVDQA Y12, Y0
	VMOVDQA Y12, Y1
	VMOVDQA Y12, Y2
	VMOVDQA Y12, Y3
	ROW(SI, 0)
	ROW(R9, 96)
	ROW(R10, 192)
	ROW(R11, 288)
	ROW(R12, 384)
	VPSRAVD Y13, Y0, Y0
	VPSRAVD Y13, Y1, Y1
	VPSRAVD Y13, Y2, Y2
	VPSRAVD Y13, Y3, Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPMINUB Y15, Y0, Y0
	VPERMD Y0, Y14, Y0
	VMOVDQU Y0, (DI)
	ADDQ $16, SI
	ADDQ $16, R9
	ADDQ $16, R10
	ADDQ $16, R11
	ADDQ $16, R12
	ADDQ $32, DI
	DECQ R13
	JNZ windows
	VZEROUPPER
	RET

// Four terms of eight outputs, for two cells (their terms in Y8 and Y9).
#define FOUR(w, acc, acc2) \
	VMOVDQU w(R10), Y10; \
	VPMADDUBSW Y10, Y8, Y11; \
	VPMADDUBSW Y10, Y9, Y12; \
	VPMADDWD Y15, Y11, Y11; \
	VPMADDWD Y15, Y12, Y12; \
	VPADDD Y11, acc, acc; \
	VPADDD Y12, acc2, acc2

// Sums shifted and packed: words of the cell in a and c.
#define SHIFTED(a, b, c, d) \
	VPSRAVD 2432(BX), a, a; \
	VPSRAVD 2464(BX), b, b; \
	VPSRAVD 2496(BX), c, c; \
	VPSRAVD 2528(BX), d, d; \
	VPACKSSDW b, a, a; \
	VPACKSSDW d, c, c

// func mixAVX2(in *uint8, stride, rows, fours, step int, l *mixing, before, out *uint8, n int)
TEXT ·mixAVX2(SB), NOSPLIT, $0-72
	MOVQ in+0(FP), SI
	MOVQ step+32(FP), DX
	MOVQ l+40(FP), BX
	MOVQ before+48(FP), AX
	MOVQ out+56(FP), DI
	MOVQ n+64(FP), CX
	VPBROADCASTQ ones<>(SB), Y15
	VPBROADCASTQ most<>(SB), Y14
	VPXOR Y13, Y13, Y13

two:
	CMPQ CX, $1
	JGT both
	JLT mixed
	SUBQ DX, SI // one is left: the one before is made again with it
	SUBQ $32, DI
	TESTQ AX, AX
	JZ both
	SUBQ $32, AX

both:
	VMOVDQU 2304(BX), Y0
	VMOVDQU 2336(BX), Y1
	VMOVDQU 2368(BX), Y2
	VMOVDQU 2400(BX), Y3
	VMOVDQA Y0, Y4
	VMOVDQA Y1, Y5
	VMOVDQA Y2, Y6
	VMOVDQA Y3, Y7
	MOVQ BX, R10
	MOVQ SI, R8
	MOVQ rows+16(FP), R12

rows:
	MOVQ R8, R9
	MOVQ fours+24(FP), R11

terms:
	VPBROADCASTD (R9), Y8
	VPBROADCASTD (R9)(DX*1), Y9
	FOUR(0, Y0, Y4)
	FOUR(32, Y1, Y5)
	FOUR(64, Y2, Y6)
	FOUR(96, Y3, Y7)
	ADDQ $4, R9
	ADDQ $128, R10
	DECQ R11
	JNZ terms
	ADDQ stride+8(FP), R8
	DECQ R12
	JNZ rows

	SHIFTED(Y0, Y1, Y2, Y3)
	SHIFTED(Y4, Y5, Y6, Y7)
	TESTQ AX, AX
	JZ pack
	// Bytes of what was before, as words in the order of the sums.
	VMOVDQU (AX), Y8
	VMOVDQU 32(AX), Y9
	VPUNPCKLBW Y13, Y8, Y10
	VPUNPCKHBW Y13, Y8, Y11
	VPADDSW Y10, Y0, Y0
	VPADDSW Y11, Y2, Y2
	VPUNPCKLBW Y13, Y9, Y10
	VPUNPCKHBW Y13, Y9, Y11
	VPADDSW Y10, Y4, Y4
	VPADDSW Y11, Y6, Y6
	ADDQ $64, AX

pack:
	VPACKUSWB Y2, Y0, Y0
	VPACKUSWB Y6, Y4, Y4
	VPMINUB Y14, Y0, Y0
	VPMINUB Y14, Y4, Y4
	VMOVDQU Y0, (DI)
	VMOVDQU Y4, 32(DI)
	ADDQ $64, DI
	LEAQ (SI)(DX*2), SI
	SUBQ $2, CX
	JGT two

mixed:
	VZEROUPPER
	RET

// Two places of one row or two: bytes beside each other, times their weights, to words of 32 outputs.
#define BESIDE(a, b, w, lo, hi) \
	VMOVDQU a, Y4; \
	VMOVDQU b, Y5; \
	VPUNPCKLBW Y5, Y4, lo; \
	VPUNPCKHBW Y5, Y4, hi; \
	VPMADDUBSW w(BX), lo, lo; \
	VPMADDUBSW w+32(BX), hi, hi

// Words of two such, added up in 32 bits.
#define ADDED(a, b, accL, accH) \
	VPUNPCKLWD b, a, Y4; \
	VPUNPCKHWD b, a, Y5; \
	VPMADDWD Y15, Y4, Y4; \
	VPMADDWD Y15, Y5, Y5; \
	VPADDD Y4, accL, accL; \
	VPADDD Y5, accH, accH

// func deepAVX2(in *uint8, stride, apart int, l *depthwise, out *uint8, n int)
TEXT ·deepAVX2(SB), NOSPLIT, $0-48
	MOVQ in+0(FP), SI
	MOVQ stride+8(FP), AX
	MOVQ apart+16(FP), DX
	MOVQ l+24(FP), BX
	MOVQ out+32(FP), DI
	MOVQ n+40(FP), CX
	LEAQ (SI)(AX*1), R8
	LEAQ (R8)(AX*1), R9
	VPBROADCASTQ ones<>(SB), Y15
	VPBROADCASTQ most<>(SB), Y14
	VPXOR Y13, Y13, Y13

cell:
	VMOVDQU 320(BX), Y0
	VMOVDQU 352(BX), Y1
	VMOVDQU 384(BX), Y2
	VMOVDQU 416(BX), Y3
	BESIDE((SI), (SI)(DX*1), 0, Y6, Y7)
	BESIDE((SI)(DX*2), (R8), 64, Y8, Y9)
	ADDED(Y6, Y8, Y0, Y1)
	ADDED(Y7, Y9, Y2, Y3)
	BESIDE((R8)(DX*1), (R8)(DX*2), 128, Y6, Y7)
	BESIDE((R9), (R9)(DX*1), 192, Y8, Y9)
	ADDED(Y6, Y8, Y0, Y1)
	ADDED(Y7, Y9, Y2, Y3)
	VMOVDQU (R9)(DX*2), Y4
	VPUNPCKLBW Y13, Y4, Y6
	VPUNPCKHBW Y13, Y4, Y7
	VPMADDUBSW 256(BX), Y6, Y6
	VPMADDUBSW 288(BX), Y7, Y7
	ADDED(Y6, Y13, Y0, Y1)
	ADDED(Y7, Y13, Y2, Y3)
	VPSRAVD 448(BX), Y0, Y0
	VPSRAVD 480(BX), Y1, Y1
	VPSRAVD 512(BX), Y2, Y2
	VPSRAVD 544(BX), Y3, Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPMINUB Y14, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, R8
	ADDQ $32, R9
	ADDQ $32, DI
	DECQ CX
	JNZ cell
	VZEROUPPER
	RET

// func headAVX2(in *uint8, l *[across]int8, out *int32, n int)
TEXT ·headAVX2(SB), NOSPLIT, $0-32
	MOVQ in+0(FP), SI
	MOVQ l+8(FP), BX
	MOVQ out+16(FP), DI
	MOVQ n+24(FP), CX
	VPBROADCASTQ ones<>(SB), Y15
	VMOVDQU (BX), Y14

odds:
	VMOVDQU (SI), Y0
	VPMADDUBSW Y14, Y0, Y0
	VPMADDWD Y15, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPADDD X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VPADDD X1, X0, X0
	VMOVD X0, (DI)
	ADDQ $32, SI
	ADDQ $4, DI
	DECQ CX
	JNZ odds
	VZEROUPPER
	RET
