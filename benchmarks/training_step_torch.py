# SPDX-License-Identifier: Apache-2.0
"""A contender of `training_step.py`: the same network in PyTorch, in float32.

    python training_step_torch.py BATCH_SIZE FRAMES LAYERS UNITS THREADS

Takes a training step for every line on standard input, and prints its seconds by the clock
and of all processors. Needs torch alone.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import nn

LABELS = 29
BINS = 161


class Network(nn.Module):
    """Two convolutions, bidirectional GRU layers whose directions are summed, an output layer."""

    def __init__(self, layers: int, units: int):
        super().__init__()
        # Channels x bins x frames.
        self.front_end = nn.Sequential(
            nn.Conv2d(1, 32, (41, 11), (2, 2), (20, 5), bias=False),
            nn.BatchNorm2d(32),
            nn.Hardtanh(0.0, 20.0),
            nn.Conv2d(32, 32, (21, 11), (2, 1), (10, 5), bias=False),
            nn.BatchNorm2d(32),
            nn.Hardtanh(0.0, 20.0),
        )
        sizes = [41 * 32] + [units] * (layers - 1)
        self.normalizations = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes)
        self.recurrent = nn.ModuleList(nn.GRU(size, units, bidirectional=True) for size in sizes)
        self.output = nn.Linear(units, LABELS)

    def forward(self, spectrogram):
        x = self.front_end(spectrogram.transpose(1, 2)[:, None])
        x = x.flatten(1, 2).permute(2, 0, 1)
        for normalization, recurrent in zip(self.normalizations, self.recurrent):
            x = normalization(x.flatten(0, 1)).view_as(x)
            x = sum(recurrent(x)[0].chunk(2, dim=-1))
        return self.output(x).log_softmax(-1)


def main() -> None:
    batch_size, frames, layers, units, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = Network(layers, units)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    spectrogram = torch.randn(batch_size, frames, BINS)
    labels = torch.randint(1, LABELS, (batch_size, frames // 8))
    output_lengths = torch.full((batch_size,), -(-frames // 2))
    label_lengths = torch.full((batch_size,), labels.shape[1])
    for _ in sys.stdin:
        started, processors = time.perf_counter(), time.process_time()
        log_probs = network(spectrogram)
        loss = nn.functional.ctc_loss(log_probs, labels, output_lengths, label_lengths)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 400.0)
        optimizer.step()
        loss.item()
        clock = time.perf_counter() - started
        print(clock, time.process_time() - processors, flush=True)


if __name__ == "__main__":
    main()
