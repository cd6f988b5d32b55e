-- encode_bench.lua - what files of a picture cost. Prints a table and writes build/bench/encode.json.
local json = require "json"
local peers = require "spec.bench.peers"

local text = peers.output "build/bench/encode"
local took = json.decode(text)
print "a picture of 512 x 512: CPU ms and KB          as drawn            with noise"
for _, row in ipairs {
  { "png_runs", "PNG, runs (views)" }, { "png_1", "PNG, level 1" }, { "png_6", "PNG, level 6" },
  { "libpng_1", "libpng, level 1, sub" }, { "jpeg_95", "JPEG, quality 95" }, { "webp_lossless", "WebP, lossless" },
  { "webp_85", "WebP, quality 85" }, { "npy", "NumPy" },
} do
  local smooth, noisy = took[row[1]].smooth, took[row[1]].noisy
  print(("%-36s %10.2f ms %6.0f %10.2f ms %6.0f"):format(row[2], smooth.ms, smooth.bytes / 1000, noisy.ms, noisy.bytes / 1000))
end
local file = assert(io.open("build/bench/encode.json", "w"))
file:write(text)
file:close()
