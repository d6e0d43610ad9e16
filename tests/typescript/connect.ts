// Calls without gRPC: by the Connect protocol, with the code that `buf generate` makes of
// proto/buf.gen.typescript.yaml. In a browser the transport is that of @connectrpc/connect-web, and nothing else differs.
//
//     node connect.ts URL STORE

import assert from 'node:assert/strict'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { compressionGzip, createConnectTransport } from '@connectrpc/connect-node'

import { BadRequestSchema, ErrorInfoSchema } from './gen/typescript/google/rpc/error_details_pb.js'
import { CancellationService } from './gen/typescript/belay/v1/cancellation_service_pb.js'
import { EventType } from './gen/typescript/belay/v1/event_pb.js'
import { EventService } from './gen/typescript/belay/v1/event_service_pb.js'
import { OrderState } from './gen/typescript/belay/v1/order_pb.js'
import { OrderService } from './gen/typescript/belay/v1/order_service_pb.js'

const [url, storeId] = process.argv.slice(2)
assert(url !== undefined && storeId !== undefined, 'usage: node connect.ts URL STORE')

/** What a call was refused with. */
async function refused(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call
  } catch (thrown) {
    return ConnectError.from(thrown)
  }
  throw new Error('it was not refused')
}

let number = 0
for (const httpVersion of ['1.1', '2'] as const) {
  for (const useBinaryFormat of [false, true]) {
    for (const sendCompression of [undefined, compressionGzip]) {
      const transport = createConnectTransport({
        baseUrl: url,
        httpVersion,
        useBinaryFormat,
        compressMinBytes: 0,
        ...(sendCompression === undefined ? {} : { sendCompression }),
        interceptors: [next => async request => {
          request.header.set('belay-role', 'storefront')
          return await next(request)
        }],
      })
      number += 1
      const orderId = `node-${number}`
      const orders = createClient(OrderService, transport)
      const events = createClient(EventService, transport)

      // A stream: who has been told something once misses nothing from there on.
      const watched = new AbortController()
      const stream = events.watchEvents({ filter: { storeId } }, { signal: watched.signal })
      const messages = stream[Symbol.asyncIterator]()
      const first = await messages.next()
      assert(first.done !== true, 'the stream has ended')

      // A single answer.
      const goods = { currencyCode: 'EUR', minorUnits: 1000n }
      const { order } = await orders.createOrder({
        storeId, orderId, buyer: { id: 'ann' }, sellerId: 'acme', destination: { countryCode: 'DE' },
        lines: [{ sku: 'MUG', quantity: 2, goods }],
      })
      assert.equal(order?.state, OrderState.AWAITING_PAYMENT)
      assert.equal(order.totals?.due?.minorUnits, 1000n)
      let told: EventType | undefined
      while (told === undefined) {
        const next = await messages.next()
        assert(next.done !== true, 'the stream has ended')
        told = next.value.events.find(event => event.orderId === orderId)?.eventType
      }
      assert.equal(told, EventType.ORDER_CREATED)
      watched.abort()

      // Errors, with their details.
      const unknown = await refused(orders.getOrder({ storeId, orderId: 'none' }))
      assert.equal(unknown.code, Code.NotFound)
      assert.equal(unknown.findDetails(ErrorInfoSchema)[0]?.reason, 'ORDER_NOT_FOUND')
      const empty = await refused(orders.createOrder({}))
      const fields = empty.findDetails(BadRequestSchema).flatMap(bad => bad.fieldViolations.map(of => of.field))
      assert.equal(empty.code, Code.InvalidArgument)
      assert(fields.includes('store_id'), fields.join())
      const begun = await refused((async () => {
        for await (const _ of events.watchEvents({ begin: { case: 'resumeToken', value: 'x' } })) assert.fail()
      })())
      assert.equal(begun.findDetails(ErrorInfoSchema)[0]?.reason, 'RESUME_TOKEN_INVALID')

      // A deadline: who waits no longer is answered by itself, and the server gives up as well.
      const late = await refused(orders.getOrder({ storeId, orderId }, { timeoutMs: 1, headers: { 'connect-timeout-ms': '0' } }))
      assert.equal(late.code, Code.DeadlineExceeded)

      const cancellations = createClient(CancellationService, transport)
      const preview = await cancellations.previewCancellation({ storeId, orderId, selection: { case: 'all', value: {} }, reason: 'NO_LONGER_WANTED' })
      assert.equal(preview.allowed, true)
      console.log(`${orderId}: HTTP/${httpVersion}, ${useBinaryFormat ? 'protobuf' : 'JSON'}${sendCompression ? ', gzip' : ''}`)
    }
  }
}
