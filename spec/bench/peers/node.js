// node.js - Node's http, and its `ws` when that is installed: `node node.js PORT`.
const http = require('http')

const server = http.createServer((request, response) => {
  const body = JSON.stringify({ status: 'ok', n: 17 })
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
})
server.keepAliveTimeout = 600000

function sendToAll(sockets, count, size) {
  const message = 'x'.repeat(size)
  for (let i = 0; i < count; i++) for (const socket of sockets) socket.send(message)
}

let WebSocketServer
try {
  WebSocketServer = require(`${process.env.BENCH_MODULES}/ws`).WebSocketServer
} catch {
  console.error('node: without ws')
}
if (WebSocketServer) {
  const sockets = new WebSocketServer({ server, perMessageDeflate: false })
  sockets.on('connection', (socket) => {
    socket.on('message', (text) => {
      const [count, size] = text.toString().split(' ').map(Number)
      sendToAll(sockets.clients, count, size)
    })
  })
}
server.listen(Number(process.argv[2]), '127.0.0.1')
