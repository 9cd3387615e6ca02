/** Express as its first page shows it: the bound of everything that answers through it. */

import express from 'express'
import type { AddressInfo } from 'node:net'

const app = express()
app.get('/', (_, response) => {
  response.send('Hello World!')
})
const server = app.listen(0, '127.0.0.1', () => {
  process.send?.((server.address() as AddressInfo).port)
})
process.once('disconnect', () => process.exit())
