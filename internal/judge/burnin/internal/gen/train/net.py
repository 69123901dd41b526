#!/usr/bin/env python3
"""Makes the detector's net from pictures that `train -pictures FILE -n 5000` wrote: net.py FILE[,FILE] OUT [steps] [OLD]

The net is trained as it is run, in whole numbers: activations are 0..127, weights -127..127, each channel has a power of two that its sum is shifted by. What it computes here and in
package find is the same to the last bit. It needs PyTorch 1.13 and NumPy (Debian 12: python3-torch, python3-numpy), and takes some ten minutes of one processor.
"""
import math, struct, sys, time
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

FIRST, WIDTH, SPREADS = 8, 20, (1, 2, 4, 8, 2)
TOP = 127.0


def pictures(path):
    """By level: greys and what each cell is."""
    d = np.memmap(path, np.uint8, "r")
    o, levels = 0, ([], [], [])
    while o < len(d):
        w, h, level = int(d[o]) | int(d[o + 1]) << 8, int(d[o + 2]) | int(d[o + 3]) << 8, int(d[o + 4])
        o += 5
        grey = d[o:o + w * h].reshape(h, w)
        o += w * h
        cells = (w // 4) * (h // 4)
        what = d[o:o + cells].view(np.int8).reshape(h // 4, w // 4)
        o += cells
        if min(w, h) >= 24:
            levels[level].append((grey, what))
    return levels


class whole(torch.autograd.Function):
    """Rounds; gradients pass."""
    @staticmethod
    def forward(_, x):
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(_, g):
        return g


class activate(torch.autograd.Function):
    """A sum rounded and cut off; a little of the gradient passes where it is cut off, so that no channel dies."""
    @staticmethod
    def forward(ctx, y, add):
        z = (y + 0.5).floor_()
        if add is not None:
            z += add
        o = z.clamp(0, TOP)
        ctx.save_for_backward(o == z)
        ctx.adds = add is not None
        return o

    @staticmethod
    def backward(ctx, g):
        inside, = ctx.saved_tensors
        g = torch.where(inside, g, g * 0.02)
        return g, g if ctx.adds else None


class Layer(nn.Module):
    def __init__(self, ins, outs, side, groups=1, stride=1, spread=1, last=False, level=False, gain=1.0):
        super().__init__()
        self.stride, self.spread, self.groups, self.side, self.last = stride, spread, groups, side, last
        w = torch.randn(outs, ins // groups, side, side) * gain * math.sqrt(2.0 / (ins // groups * side * side))
        if level:
            w -= w.mean((2, 3), keepdim=True)
        self.w, self.b = nn.Parameter(w), nn.Parameter(torch.full((outs,), 0.0 if last else 0.05))

    def shifts(self):
        """The power of two of each channel: as large as its weights and its sum allow."""
        with torch.no_grad():
            w = self.w.abs()
            a = torch.floor(torch.log2(TOP / w.amax((1, 2, 3)).clamp_min(1e-6)))
            s = torch.floor(torch.log2(7500.0 / (w.sum((1, 2, 3)) + self.b.abs()).clamp_min(1e-6)))
            return torch.minimum(a, s).clamp(2, 14)

    def numbers(self):
        k = (2.0 ** self.shifts())
        return whole.apply(self.w * k[:, None, None, None]).clamp(-127, 127), whole.apply(self.b * TOP * k), k

    def forward(self, x, add=None):
        w, b, k = self.numbers()
        w, b = w / k[:, None, None, None], b / k
        pad = self.spread * (self.side // 2) if self.stride == 1 else 0
        if self.side == 1:
            n, c, high, wide = x.shape  # PyTorch is slow at windows of one place
            y = F.linear(x.permute(0, 2, 3, 1).reshape(-1, c), w[:, :, 0, 0], b).view(n, high, wide, -1).permute(0, 3, 1, 2)
        else:
            y = F.conv2d(x, w, b, self.stride, pad, self.spread, self.groups)
        if self.last:
            return y / TOP
        return activate.apply(y, add)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = Layer(1, FIRST, 5, stride=2, level=True, gain=1.0)
        self.two = Layer(FIRST, WIDTH, 3, stride=2)
        self.deep = nn.ModuleList(Layer(WIDTH, WIDTH, 3, groups=WIDTH, spread=s) for s in SPREADS)
        self.mix = nn.ModuleList(Layer(WIDTH, WIDTH, 1, gain=0.5) for _ in SPREADS)
        self.head = Layer(WIDTH, 1, 1, last=True)

    def forward(self, x):
        """x: greys 0..255, sides multiples of four; a logit for each cell."""
        # Column i of half the size sees columns 2i-2 to 2i+2; cell j sees columns 2j to 2j+2 of these: 4j-2 to 4j+6 of the picture.
        x = F.pad(x, (2, 3, 2, 3), "replicate")
        x = self.two(self.one(x)).contiguous(memory_format=torch.channels_last)
        for d, m in zip(self.deep, self.mix):
            x = m(d(x), x)
        return self.head(x)[:, 0]

    def layers(self):
        out = [self.one, self.two]
        for d, m in zip(self.deep, self.mix):
            out += [d, m]
        return out + [self.head]


def save(net, path):
    o = bytearray(struct.pack("<BBB", FIRST, WIDTH, len(SPREADS)) + bytes(SPREADS))
    with torch.no_grad():
        for l in net.layers():
            w, b, k = l.numbers()
            w = w.numpy().astype(np.int8).reshape(len(b), -1)
            most = (np.abs(w.astype(np.int64)).sum(1) * (255 if l.stride == 2 and w.shape[1] == 25 else 127) + np.abs(b.numpy())).max()
            assert most < 1 << 20, most
            o += w.tobytes() + b.numpy().astype("<i4").tobytes() + torch.log2(k).numpy().astype(np.uint8).tobytes()
    open(path, "wb").write(o)


def crops(levels, rng, size, n, level):
    x, y = np.empty((n, size, size), np.float32), np.empty((n, size // 4, size // 4), np.float32)
    for i in range(n):
        g, t = levels[level][rng.integers(len(levels[level]))]
        ch, cw = t.shape
        k = size // 4
        cy, cx = rng.integers(max(1, ch - k + 1)), rng.integers(max(1, cw - k + 1))
        if rng.random() < 0.6 and (at := np.flatnonzero(t == 1)).size:  # around a cell of text
            at = at[rng.integers(at.size)]
            cy = max(0, min(ch - k, at // cw - rng.integers(k)))
            cx = max(0, min(cw - k, at % cw - rng.integers(k)))
        t = t[cy:cy + k, cx:cx + k]
        g = g[4 * cy:4 * cy + size, 4 * cx:4 * cx + size]
        py, px = k - t.shape[0], k - t.shape[1]
        if py or px:
            t = np.pad(t, ((0, py), (0, px)), constant_values=-1)
        if g.shape != (size, size):
            g = np.pad(g, ((0, size - g.shape[0]), (0, size - g.shape[1])), "edge")
        g = g.astype(np.float32)
        if rng.random() < 0.3:
            g = 255 - g
        if rng.random() < 0.3:
            s = rng.uniform(0.6, 1.3)
            g = np.clip((g - 128) * s + 128 + rng.uniform(-50, 50), 0, 255)
            g = np.floor(g + 0.5)
        if rng.random() < 0.15:
            g, t = g.T, t.T
        if rng.random() < 0.1:
            g, t = g[:, ::-1], t[:, ::-1]
        if rng.random() < 0.05:
            g, t = g[::-1], t[::-1]
        x[i], y[i] = g, t
    return torch.from_numpy(x)[:, None], torch.from_numpy(y)


def loss_of(net, x, y):
    z = net(x)
    known = (y >= 0).float()
    t = y.clamp_min(0)
    e = F.binary_cross_entropy_with_logits(z, t, reduction="none")
    # What is hard counts more: most cells are plainly none.
    with torch.no_grad():
        p = torch.sigmoid(z)
        w = known * (0.15 + (t - p).abs()) * (1 + t)
    return (w * e).sum(), w.sum(), z


def main():
    files, out, steps = sys.argv[1].split(","), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 6000
    torch.set_num_threads(1)
    torch.manual_seed(1)
    levels = ([], [], [])
    for f in files:
        for a, b in zip(levels, pictures(f)):
            a.extend(b)
    test = tuple(l[:len(l) // 25] for l in levels)
    levels = tuple(l[len(l) // 25:] for l in levels)
    rng = np.random.default_rng(1)
    net = Net()
    if len(sys.argv) > 4:
        net.load_state_dict(torch.load(sys.argv[4]))
    best = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.99))
    top, warm = 3e-3, 200
    start, run = time.time(), 0.0
    plan = ((0, 192, 5), (1, 128, 4), (2, 96, 3))
    for step in range(steps):
        lr = top * min(1, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        for g in best.param_groups:
            g["lr"] = lr
        best.zero_grad()
        total, weight = 0, 0
        for level, size, n in plan:
            l, w, _ = loss_of(net, *crops(levels, rng, size, n, level))
            total, weight = total + l, weight + w
        loss = total / weight
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        best.step()
        run = 0.98 * run + 0.02 * float(loss)
        if step % 100 == 99:
            print(step + 1, "loss %.4f" % (run / (1 - 0.98 ** (step + 1))), "after %ds" % (time.time() - start), flush=True)
        if step % 500 == 499 or step == steps - 1:
            with torch.no_grad():
                r, hits = np.random.default_rng(2), []
                for level, size, n in plan:
                    pos = neg = tp = fp = fp2 = tp2 = 0
                    for _ in range(10):
                        _, _, z = loss_of(net, *(b := crops(test, r, size, n, level)))
                        y = b[1]
                        pos, neg = pos + (y == 1).sum().item(), neg + (y == 0).sum().item()
                        tp, fp = tp + ((z > 0) & (y == 1)).sum().item(), fp + ((z > 0) & (y == 0)).sum().item()
                        tp2, fp2 = tp2 + ((z > 2) & (y == 1)).sum().item(), fp2 + ((z > 2) & (y == 0)).sum().item()
                    hits.append("%.4f/%.5f (%.4f/%.5f)" % (tp / max(1, pos), fp / max(1, neg), tp2 / max(1, pos), fp2 / max(1, neg)))
            print("found/false above 0 (2), by level", *hits, flush=True)
            save(net, out)
            torch.save(net.state_dict(), out + ".pt")


main()
