-- jpeg_bench.lua - decoding a 720p frame whole, and only where somebody is followed. Prints a table and writes build/bench/jpeg.json.
local json = require "json"
local peers = require "spec.bench.peers"

local text = peers.output "build/bench/jpeg"
local took = json.decode(text)
print(("a JPEG frame of 1280 x 720, %d KB: CPU ms"):format(took.bytes / 1000))
for _, row in ipairs {
  { "rgba", "whole, for pictures" }, { "whole", "whole, for streams" },
  { "near", "720 x 720 of it" }, { "far", "300 x 300 of it" },
} do
  print(("%-44s %10.2f ms"):format(row[2], took[row[1]]))
end
local file = assert(io.open("build/bench/jpeg.json", "w"))
file:write(text)
file:close()
