-- slow_bench.lua - how soon a host answers /health while 100 clients upload slowly: p50 and p99 of 1,000 new connections.
local support = require "spec.e2e.support"

local host = support.host { flags = "--workers 0" }
print(support.shell(("build/spec/net_many_test %d %d 2>&1"):format(host.port, host.pid)))
host:stop()
