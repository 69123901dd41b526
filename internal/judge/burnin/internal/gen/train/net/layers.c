// Layers of the net and their gradients, for net.py, many times as fast as PyTorch has them: planes are by row, column and channel, and a layer's sum is rounded and cut off as it is made.
//
//     cc -O3 -march=native -ffast-math -shared -fPIC -o layers.so layers.c
#include <math.h>
#include <stdint.h>
#include <string.h>

#define WIDTH 32
#define TOP 127.0f
#define PART 0.02f // of the gradient passes where a sum is cut off, so that no channel dies

typedef float wide __attribute__((vector_size(64), aligned(4)));
typedef float eight __attribute__((vector_size(32), aligned(4)));

static void cut(const float *sum, const float *add, float *y, uint8_t *inside, long n) {
	for (long i = 0; i < n; i++) {
		float z = floorf(sum[i] + 0.5f) + (add ? add[i] : 0);
		float o = z < 0 ? 0 : z > TOP ? TOP : z;
		inside[i] = o == z;
		y[i] = o;
	}
}

static void cut_back(const float *g, const uint8_t *inside, float *s, long n) {
	for (long i = 0; i < n; i++)
		s[i] = g[i] * (inside[i] ? 1.0f : PART);
}

// first: windows of 5x5 of one channel at every other place, 8 numbers of each.
void first(const float *x, int n, int h, int w, const float *weights, const float *bias, float *y, uint8_t *inside, int oh, int ow) {
	float sum[ow * 8];
	for (int k = 0; k < n; k++)
		for (int j = 0; j < oh; j++) {
			for (int i = 0; i < ow; i++) {
				eight s = *(const eight *)bias;
				for (int r = 0; r < 5; r++) {
					const float *p = x + ((long)k * h + 2 * j + r) * w + 2 * i;
					for (int c = 0; c < 5; c++)
						s += p[c] * *(const eight *)(weights + (r * 5 + c) * 8);
				}
				*(eight *)(sum + i * 8) = s;
			}
			long at = ((long)k * oh + j) * ow * 8;
			cut(sum, 0, y + at, inside + at, ow * 8);
		}
}

void first_back(const float *g, const uint8_t *inside, const float *x, int n, int h, int w, float *gw, float *gb, int oh, int ow) {
	float s[ow * 8];
	eight acc[25], b = {0};
	memset(acc, 0, sizeof acc);
	for (int k = 0; k < n; k++)
		for (int j = 0; j < oh; j++) {
			long at = ((long)k * oh + j) * ow * 8;
			cut_back(g + at, inside + at, s, ow * 8);
			for (int i = 0; i < ow; i++) {
				eight v = *(eight *)(s + i * 8);
				b += v;
				for (int r = 0; r < 5; r++) {
					const float *p = x + ((long)k * h + 2 * j + r) * w + 2 * i;
					for (int c = 0; c < 5; c++)
						acc[r * 5 + c] += p[c] * v;
				}
			}
		}
	memcpy(gw, acc, sizeof acc);
	memcpy(gb, &b, sizeof b);
}

// two: windows of 3x3 of 8 channels at every other place.
void two(const float *x, int n, int h, int w, const float *weights, const float *bias, float *y, uint8_t *inside, int oh, int ow) {
	float sum[ow * WIDTH];
	for (int k = 0; k < n; k++)
		for (int j = 0; j < oh; j++) {
			for (int i = 0; i < ow; i++) {
				wide a = *(const wide *)bias, b = *(const wide *)(bias + 16);
				for (int r = 0; r < 3; r++) {
					const float *p = x + (((long)k * h + 2 * j + r) * w + 2 * i) * 8, *q = weights + r * 24 * WIDTH;
					for (int t = 0; t < 24; t++) {
						a += p[t] * *(const wide *)(q + t * WIDTH);
						b += p[t] * *(const wide *)(q + t * WIDTH + 16);
					}
				}
				*(wide *)(sum + i * WIDTH) = a;
				*(wide *)(sum + i * WIDTH + 16) = b;
			}
			long at = ((long)k * oh + j) * ow * WIDTH;
			cut(sum, 0, y + at, inside + at, ow * WIDTH);
		}
}

// turned is the weights by place, output, channel.
void two_back(const float *g, const uint8_t *inside, const float *x, int n, int h, int w, const float *turned, float *gx, float *gw, float *gb, int oh, int ow) {
	float s[ow * WIDTH];
	memset(gx, 0, sizeof(float) * n * h * w * 8);
	memset(gw, 0, sizeof(float) * 72 * WIDTH);
	memset(gb, 0, sizeof(float) * WIDTH);
	for (int k = 0; k < n; k++)
		for (int j = 0; j < oh; j++) {
			long at = ((long)k * oh + j) * ow * WIDTH;
			cut_back(g + at, inside + at, s, ow * WIDTH);
			for (int i = 0; i < ow; i++) {
				wide a = *(wide *)(s + i * WIDTH), b = *(wide *)(s + i * WIDTH + 16);
				*(wide *)gb += a;
				*(wide *)(gb + 16) += b;
				for (int r = 0; r < 3; r++) {
					long from = (((long)k * h + 2 * j + r) * w + 2 * i) * 8;
					float *q = gw + r * 24 * WIDTH;
					for (int t = 0; t < 24; t++) {
						*(wide *)(q + t * WIDTH) += x[from + t] * a;
						*(wide *)(q + t * WIDTH + 16) += x[from + t] * b;
					}
				}
				eight v[9];
				memset(v, 0, sizeof v);
				for (int o = 0; o < WIDTH; o++)
					for (int t = 0; t < 9; t++)
						v[t] += s[i * WIDTH + o] * *(const eight *)(turned + (t * WIDTH + o) * 8);
				for (int t = 0; t < 9; t++)
					*(eight *)(gx + (((long)k * h + 2 * j + t / 3) * w + 2 * i + t % 3) * 8) += v[t];
			}
		}
}

// deep: each channel by itself over 3x3 cells that lie apart; weights by place and channel.
void deep(const float *x, int n, int h, int w, int apart, const float *weights, const float *bias, float *y, uint8_t *inside) {
	float sum[w * WIDTH];
	for (int k = 0; k < n; k++)
		for (int j = 0; j < h; j++) {
			for (int i = 0; i < w; i++)
				memcpy(sum + i * WIDTH, bias, sizeof(float) * WIDTH);
			for (int t = 0; t < 9; t++) {
				int row = j + (t / 3 - 1) * apart, dx = (t % 3 - 1) * apart;
				if (row < 0 || row >= h)
					continue;
				const float *p = x + ((long)k * h + row) * w * WIDTH;
				wide a = *(const wide *)(weights + t * WIDTH), b = *(const wide *)(weights + t * WIDTH + 16);
				for (int i = dx < 0 ? -dx : 0; i < w && i + dx < w; i++) {
					*(wide *)(sum + i * WIDTH) += a * *(const wide *)(p + (i + dx) * WIDTH);
					*(wide *)(sum + i * WIDTH + 16) += b * *(const wide *)(p + (i + dx) * WIDTH + 16);
				}
			}
			long at = ((long)k * h + j) * w * WIDTH;
			cut(sum, 0, y + at, inside + at, w * WIDTH);
		}
}

void deep_back(const float *g, const uint8_t *inside, const float *x, int n, int h, int w, int apart, const float *weights, float *gx, float *gw, float *gb) {
	float s[w * WIDTH];
	memset(gx, 0, sizeof(float) * n * h * w * WIDTH);
	memset(gw, 0, sizeof(float) * 9 * WIDTH);
	memset(gb, 0, sizeof(float) * WIDTH);
	for (int k = 0; k < n; k++)
		for (int j = 0; j < h; j++) {
			long at = ((long)k * h + j) * w * WIDTH;
			cut_back(g + at, inside + at, s, w * WIDTH);
			for (int i = 0; i < w * WIDTH; i += 16)
				*(wide *)(gb + i % WIDTH) += *(wide *)(s + i);
			for (int t = 0; t < 9; t++) {
				int row = j + (t / 3 - 1) * apart, dx = (t % 3 - 1) * apart;
				if (row < 0 || row >= h)
					continue;
				const float *p = x + ((long)k * h + row) * w * WIDTH;
				float *q = gx + ((long)k * h + row) * w * WIDTH;
				wide a = *(const wide *)(weights + t * WIDTH), b = *(const wide *)(weights + t * WIDTH + 16);
				wide u = *(wide *)(gw + t * WIDTH), v = *(wide *)(gw + t * WIDTH + 16);
				for (int i = dx < 0 ? -dx : 0; i < w && i + dx < w; i++) {
					wide e = *(wide *)(s + i * WIDTH), f = *(wide *)(s + i * WIDTH + 16);
					u += e * *(const wide *)(p + (i + dx) * WIDTH);
					v += f * *(const wide *)(p + (i + dx) * WIDTH + 16);
					*(wide *)(q + (i + dx) * WIDTH) += e * a;
					*(wide *)(q + (i + dx) * WIDTH + 16) += f * b;
				}
				*(wide *)(gw + t * WIDTH) = u;
				*(wide *)(gw + t * WIDTH + 16) = v;
			}
		}
}

// product is, for n cells, their numbers by a matrix, and bias; n is a multiple of four.
static void product(const float *x, const float *m, const float *bias, float *y, int n) {
	wide zero = {0};
	for (int i = 0; i < n; i += 4) {
		const float *p = x + (long)i * WIDTH;
		wide a0 = bias ? *(const wide *)bias : zero, b0 = bias ? *(const wide *)(bias + 16) : zero, a1 = a0, b1 = b0, a2 = a0, b2 = b0, a3 = a0, b3 = b0;
		for (int t = 0; t < WIDTH; t++) {
			wide a = *(const wide *)(m + t * WIDTH), b = *(const wide *)(m + t * WIDTH + 16);
			a0 += p[t] * a;
			b0 += p[t] * b;
			a1 += p[WIDTH + t] * a;
			b1 += p[WIDTH + t] * b;
			a2 += p[2 * WIDTH + t] * a;
			b2 += p[2 * WIDTH + t] * b;
			a3 += p[3 * WIDTH + t] * a;
			b3 += p[3 * WIDTH + t] * b;
		}
		wide *o = (wide *)(y + (long)i * WIDTH);
		o[0] = a0, o[1] = b0, o[2] = a1, o[3] = b1, o[4] = a2, o[5] = b2, o[6] = a3, o[7] = b3;
	}
}

// mix: the numbers of a cell mixed, and what they were before added; weights by number and output. y serves for the sums.
void mix(const float *x, const float *before, long n, const float *weights, const float *bias, float *y, uint8_t *inside) {
	for (long i = 0; i < n; i += 64) {
		int k = n - i < 64 ? n - i : 64;
		product(x + i * WIDTH, weights, bias, y + i * WIDTH, k);
		cut(y + i * WIDTH, before + i * WIDTH, y + i * WIDTH, inside + i * WIDTH, k * WIDTH);
	}
}

// turned is the weights by output and number; s is the gradient of what was before.
void mix_back(const float *g, const uint8_t *inside, const float *x, long n, const float *turned, float *s, float *gx, float *gw, float *gb) {
	wide b0 = {0}, b1 = {0};
	memset(gw, 0, sizeof(float) * WIDTH * WIDTH);
	for (long i = 0; i < n; i += 64) {
		int k = n - i < 64 ? n - i : 64;
		float *q = s + i * WIDTH;
		const float *p = x + i * WIDTH;
		cut_back(g + i * WIDTH, inside + i * WIDTH, q, k * WIDTH);
		product(q, turned, 0, gx + i * WIDTH, k);
		for (int c = 0; c < k; c++) {
			b0 += *(wide *)(q + c * WIDTH);
			b1 += *(wide *)(q + c * WIDTH + 16);
		}
		for (int t = 0; t < WIDTH; t += 8) {
			wide u[8], v[8];
			for (int e = 0; e < 8; e++) {
				u[e] = *(wide *)(gw + (t + e) * WIDTH);
				v[e] = *(wide *)(gw + (t + e) * WIDTH + 16);
			}
			for (int c = 0; c < k; c++) {
				wide a = *(wide *)(q + c * WIDTH), b = *(wide *)(q + c * WIDTH + 16);
				for (int e = 0; e < 8; e++) {
					u[e] += p[c * WIDTH + t + e] * a;
					v[e] += p[c * WIDTH + t + e] * b;
				}
			}
			for (int e = 0; e < 8; e++) {
				*(wide *)(gw + (t + e) * WIDTH) = u[e];
				*(wide *)(gw + (t + e) * WIDTH + 16) = v[e];
			}
		}
	}
	*(wide *)gb = b0;
	*(wide *)(gb + 16) = b1;
}
