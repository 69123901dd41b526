#!/usr/bin/env python3
"""Makes the detector's net from pictures that `train -pictures FILE -n 5000` wrote: net.py FILE[,FILE] OUT [STEPS | MINUTESm] [OLD] [RATE]

The net is trained as it is run, in whole numbers: activations are 0..127, weights -127..127, each channel has a power of two that its sum is shifted by. What it computes here and in
package find is the same to the last bit. It needs PyTorch 1.13 and NumPy (Debian 12: python3-torch, python3-numpy), and takes some ten minutes of one processor.
"""
import ctypes, math, os, struct, subprocess, sys, tempfile, time
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

FIRST, WIDTH, SPREADS = 8, 32, (1, 2, 4, 8, 2)
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


def native():
    """layers.c, compiled for this machine."""
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as d:
        lib = os.path.join(d, "layers.so")
        subprocess.run(["cc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-o", lib, os.path.join(here, "layers.c")], check=True)
        return ctypes.CDLL(lib)


C = native()


def call(fn, *args):
    """Calls fn of layers.c; tensors go as where they begin, and have to be contiguous."""
    for a in args:
        assert not torch.is_tensor(a) or a.is_contiguous()
    fn(*(ctypes.c_void_p(a.data_ptr()) if torch.is_tensor(a) else a for a in args))


# Planes are by picture, row, column and channel, and each layer's sum comes rounded and cut off to 0..127; weights are as PyTorch has them.
class first(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        n, high, wide, _ = x.shape
        oh, ow = (high - 5) // 2 + 1, (wide - 5) // 2 + 1
        y, inside = torch.empty(n, oh, ow, 8), torch.empty(n, oh, ow, 8, dtype=torch.uint8)
        call(C.first, x, n, high, wide, w.permute(2, 3, 1, 0).contiguous(), b.contiguous(), y, inside, oh, ow)
        ctx.save_for_backward(x, inside)
        return y

    @staticmethod
    def backward(ctx, g):
        x, inside = ctx.saved_tensors
        gw, gb = torch.empty(5, 5, 1, 8), torch.empty(8)
        call(C.first_back, g.contiguous(), inside, x, *x.shape[:3], gw, gb, *g.shape[1:3])
        return None, gw.permute(3, 2, 0, 1), gb


class two(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        n, high, wide, _ = x.shape
        oh, ow = (high - 3) // 2 + 1, (wide - 3) // 2 + 1
        y, inside = torch.empty(n, oh, ow, WIDTH), torch.empty(n, oh, ow, WIDTH, dtype=torch.uint8)
        call(C.two, x, n, high, wide, w.permute(2, 3, 1, 0).contiguous(), b.contiguous(), y, inside, oh, ow)
        ctx.save_for_backward(x, w, inside)
        return y

    @staticmethod
    def backward(ctx, g):
        x, w, inside = ctx.saved_tensors
        gx, gw, gb = torch.empty_like(x), torch.empty(3, 3, FIRST, WIDTH), torch.empty(WIDTH)
        call(C.two_back, g.contiguous(), inside, x, *x.shape[:3], w.permute(2, 3, 0, 1).contiguous(), gx, gw, gb, *g.shape[1:3])
        return gx, gw.permute(3, 2, 0, 1), gb


class deep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b, apart):
        y, inside = torch.empty_like(x), torch.empty(x.shape, dtype=torch.uint8)
        w = w[:, 0].permute(1, 2, 0).contiguous()
        call(C.deep, x, *x.shape[:3], apart, w, b.contiguous(), y, inside)
        ctx.save_for_backward(x, w, inside)
        ctx.apart = apart
        return y

    @staticmethod
    def backward(ctx, g):
        x, w, inside = ctx.saved_tensors
        gx, gw, gb = torch.empty_like(x), torch.empty_like(w), torch.empty(WIDTH)
        call(C.deep_back, g.contiguous(), inside, x, *x.shape[:3], ctx.apart, w, gx, gw, gb)
        return gx, gw.permute(2, 0, 1)[:, None], gb, None


class mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, before, w, b):
        y, inside = torch.empty_like(x), torch.empty(x.shape, dtype=torch.uint8)
        w = w[:, :, 0, 0].contiguous()
        call(C.mix, x, before, ctypes.c_long(x.numel() // WIDTH), w.t().contiguous(), b.contiguous(), y, inside)
        ctx.save_for_backward(x, w, inside)
        return y

    @staticmethod
    def backward(ctx, g):
        x, w, inside = ctx.saved_tensors
        s, gx, gw, gb = torch.empty_like(x), torch.empty_like(x), torch.empty_like(w), torch.empty(WIDTH)
        call(C.mix_back, g.contiguous(), inside, x, ctypes.c_long(x.numel() // WIDTH), w, s, gx, gw, gb)
        return gx, s, gw.t()[:, :, None, None], gb


class Layer(nn.Module):
    def __init__(self, ins, outs, side, groups=1, last=False, level=False, gain=1.0):
        super().__init__()
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

    def parts(self):
        w, b, k = self.numbers()
        return w / k[:, None, None, None], b / k


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = Layer(1, FIRST, 5, level=True, gain=1.0)
        self.two = Layer(FIRST, WIDTH, 3)
        self.deep = nn.ModuleList(Layer(WIDTH, WIDTH, 3, groups=WIDTH) for _ in SPREADS)
        self.mix = nn.ModuleList(Layer(WIDTH, WIDTH, 1, gain=0.5) for _ in SPREADS)
        self.head = Layer(WIDTH, 1, 1, last=True)

    def parts(self):
        """Weights and biases of all layers as they are run."""
        return [l.parts() for l in self.layers()]

    def forward(self, x, parts):
        """x: greys 0..255, sides multiples of four; a logit for each cell."""
        # Column i of half the size sees columns 2i-2 to 2i+2; cell j sees columns 2j to 2j+2 of these: 4j-2 to 4j+6 of the picture.
        x = F.pad(x, (2, 3, 2, 3), "replicate").permute(0, 2, 3, 1).contiguous()
        x = two.apply(first.apply(x, *parts[0]), *parts[1])
        for i, s in enumerate(SPREADS):
            x = mix.apply(deep.apply(x, *parts[2 + 2 * i], s), x, *parts[3 + 2 * i])
        w, b = parts[-1]
        return F.linear(x, w[:, :, 0, 0], b)[..., 0] / TOP

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
            most = (np.abs(w.astype(np.int64)).sum(1) * (255 if l is net.one else 127) + np.abs(b.numpy())).max()
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


def loss_of(net, parts, x, y):
    z = net(x, parts)
    known = (y >= 0).float()
    t = y.clamp_min(0)
    e = F.binary_cross_entropy_with_logits(z, t, reduction="none")
    # What is hard counts more: most cells are plainly none.
    with torch.no_grad():
        p = torch.sigmoid(z)
        w = known * (0.15 + (t - p).abs()) * (1 + t)
    return (w * e).sum(), w.sum(), z


def widened(new, old):
    """What a narrower net had learnt, in a wider one that computes the same at first: what it has more is there by chance, and counts for nothing yet where it meets what was there."""
    for name, o in old.items():
        n = new[name]
        if name.startswith(("mix", "head")) and n.ndim == 4:
            n[:o.shape[0]] = 0
        n[tuple(slice(k) for k in o.shape)] = o
    return new


def main():
    files, out, long = sys.argv[1].split(","), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "6000"
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
        net.load_state_dict(widened(net.state_dict(), torch.load(sys.argv[4])))
    best = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.99))
    top, warm = float(sys.argv[5]) if len(sys.argv) > 5 else 3e-3, 200
    start, run = time.time(), 0.0
    plan = ((0, 192, 5), (1, 128, 4), (2, 96, 3))
    step, done = 0, 0.0
    while done < 1:
        lr = top * min(1, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
        for g in best.param_groups:
            g["lr"] = lr
        best.zero_grad()
        total, weight, parts = 0, 0, net.parts()
        for level, size, n in plan:
            l, w, _ = loss_of(net, parts, *crops(levels, rng, size, n, level))
            total, weight = total + l, weight + w
        loss = total / weight
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        best.step()
        run = 0.98 * run + 0.02 * float(loss)
        step += 1
        done = (time.time() - start) / 60 / float(long[:-1]) if long.endswith("m") else step / int(long)
        if step % 100 == 0:
            print(step, "loss %.4f" % (run / (1 - 0.98 ** step)), "after %ds" % (time.time() - start), flush=True)
        if step % 500 == 0 or done >= 1:
            with torch.no_grad():
                r, hits = np.random.default_rng(2), []
                for level, size, n in plan:
                    pos = neg = tp = fp = fp2 = tp2 = 0
                    for _ in range(10):
                        _, _, z = loss_of(net, net.parts(), *(b := crops(test, r, size, n, level)))
                        y = b[1]
                        pos, neg = pos + (y == 1).sum().item(), neg + (y == 0).sum().item()
                        tp, fp = tp + ((z > 0) & (y == 1)).sum().item(), fp + ((z > 0) & (y == 0)).sum().item()
                        tp2, fp2 = tp2 + ((z > 2) & (y == 1)).sum().item(), fp2 + ((z > 2) & (y == 0)).sum().item()
                    hits.append("%.4f/%.5f (%.4f/%.5f)" % (tp / max(1, pos), fp / max(1, neg), tp2 / max(1, pos), fp2 / max(1, neg)))
            print("found/false above 0 (2), by level", *hits, flush=True)
            save(net, out)
            torch.save(net.state_dict(), out + ".pt")


main()
