// The README's tour in TypeScript, with the code that `buf generate` makes of proto/buf.gen.typescript.yaml.
//
// It needs @connectrpc/connect and @connectrpc/connect-node, and passes `tsc --strict`; Node runs it as it is.
// proto/README.md shows parts of it.
//
//     node tour.ts ADDRESS STORE

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { create, equals, type DescEnum, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf'
import { durationMs } from '@bufbuild/protobuf/wkt'
import { Code, ConnectError, createClient, type CallOptions } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'

import { BadRequestSchema, ErrorInfoSchema, PreconditionFailureSchema, RetryInfoSchema } from './gen/typescript/google/rpc/error_details_pb.js'
import { CancellationStateSchema } from './gen/typescript/belay/v1/cancellation_pb.js'
import { CancellationService, RequestCancellationRequestSchema, RequestCancellationResponseSchema } from './gen/typescript/belay/v1/cancellation_service_pb.js'
import { EventType, EventTypeSchema } from './gen/typescript/belay/v1/event_pb.js'
import { EventService } from './gen/typescript/belay/v1/event_service_pb.js'
import { FulfillmentService } from './gen/typescript/belay/v1/fulfillment_service_pb.js'
import { OrderStateSchema, type Order } from './gen/typescript/belay/v1/order_pb.js'
import { CreateOrderRequestSchema, OrderService, RecordPaymentRequestSchema } from './gen/typescript/belay/v1/order_service_pb.js'
import { PaymentFact } from './gen/typescript/belay/v1/payment_pb.js'
import { RefundResult, RefundStateSchema } from './gen/typescript/belay/v1/refund_pb.js'
import { RefundService } from './gen/typescript/belay/v1/refund_service_pb.js'
import { ShipmentStageSchema } from './gen/typescript/belay/v1/shipment_pb.js'
import { StoreService } from './gen/typescript/belay/v1/store_service_pb.js'

/** Of each attempt, in milliseconds. Belay's own default is the same; with it the client gives up too. */
const DEADLINE = 10_000
/** Of a call with all its attempts, in milliseconds. */
const PATIENCE = 60_000

/** The headers that `belay dev` believes; by key file it is one, `authorization: Bearer <secret>`. */
function caller(role: string, actor: string): CallOptions {
  return { headers: { 'belay-role': role, 'belay-actor': actor }, timeoutMs: DEADLINE }
}

// docs: details
/** The name of an ErrorReason, such as "SHIPPED"; empty where the error is not Belay's, but the network's, say. */
function reason(error: ConnectError): string {
  return error.findDetails(ErrorInfoSchema).find(info => info.domain === 'belay')?.reason ?? ''
}
// docs: end

// docs: retry
/** Makes a call again that may be repeated: a read, or a write with the same requestId each time. */
async function repeated<T>(call: () => Promise<T>): Promise<T> {
  const giveUp = performance.now() + PATIENCE
  for (let backoff = 50; ; backoff = Math.min(2 * backoff, 1000)) {
    try {
      return await call()
    } catch (thrown) {
      const error = ConnectError.from(thrown)
      const asked = error.findDetails(RetryInfoSchema).flatMap(info => info.retryDelay ?? [])
      // Without RetryInfo it is too large a message, which would be as large again.
      const isOverloaded = error.code === Code.ResourceExhausted && asked.length > 0
      const isLost = error.code === Code.Unavailable || error.code === Code.DeadlineExceeded
      const delay = Math.max(0, ...asked.map(durationMs)) + backoff * (1 + Math.random())
      if (!(isOverloaded || isLost) || performance.now() + delay > giveUp) throw error
      console.log(`  again, after ${codeName(error.code)} ${reason(error)}`)
      await sleep(delay)
    }
  }
}
// docs: end

/** The name of a code as gRPC has it, such as FAILED_PRECONDITION. */
function codeName(code: Code): string {
  return Code[code].replace(/(?<=[a-z])[A-Z]/g, '_$&').toUpperCase()
}

/** The name of a value; its number where the server is newer than this code. */
function name(schema: DescEnum, value: number): string {
  return schema.value[value]?.name ?? String(value)
}

/** Fields of a message are optional to the compiler; this one is always given. */
function given<T>(field: T | undefined): T {
  assert(field !== undefined)
  return field
}

function eur(minorUnits: bigint) {
  return { currencyCode: 'EUR', minorUnits }
}

class Tour {
  readonly storeId: string
  readonly stores
  readonly orders
  readonly cancellations
  readonly shipments
  readonly refunds
  readonly events
  readonly operator = caller('operator', 'tour')
  readonly storefront = caller('storefront', 'web')
  readonly payments = caller('payments', 'checkout')
  readonly warehouse = caller('warehouse', 'main')

  constructor(address: string, storeId: string) {
    // gRPC, as Belay speaks neither Connect nor gRPC-Web.
    const transport = createGrpcTransport({ baseUrl: `http://${address}`, pingIntervalMs: 20_000 })
    this.storeId = storeId
    this.stores = createClient(StoreService, transport)
    this.orders = createClient(OrderService, transport)
    this.cancellations = createClient(CancellationService, transport)
    this.shipments = createClient(FulfillmentService, transport)
    this.refunds = createClient(RefundService, transport)
    this.events = createClient(EventService, transport)
  }

  async openStore() {
    const policy = { case: 'preset', value: 'independent-site' } as const
    const request = { storeId: this.storeId, timeZone: 'Europe/Berlin', policy }
    const created = await repeated(() => this.stores.createStore(request, this.operator))
    const express = { carrierId: 'express', displayName: 'Brings parcels back', inTransitCancel: true }
    await repeated(() => this.stores.putCarrier({ storeId: this.storeId, carrier: express }, this.operator))
    const store = given(created.store)
    console.log(`store ${store.storeId} in ${store.timeZone}`)
  }

  async place(orderId: string, carrierId = ''): Promise<Order> {
    const request = create(CreateOrderRequestSchema, {
      storeId: this.storeId,
      orderId,
      requestId: randomUUID(),
      buyer: { id: 'ann', email: 'ann@example.com' },
      sellerId: 'acme',
      destination: { countryCode: 'DE', city: 'Berlin' },
      lines: [{ sku: 'mug', title: 'Mug', quantity: 2, goods: eur(1998n), tax: eur(380n) }],
      shipping: { amount: eur(490n) },
      shipments: [{ carrierId, contents: [{ lineNumber: 1, quantity: 2 }] }],
    })
    const created = await repeated(() => this.orders.createOrder(request, this.storefront))
    assert.equal(created.requestId, request.requestId)
    const order = given(created.order)
    const due = given(order.totals?.due)
    console.log(`${orderId} is ${name(OrderStateSchema, order.state)}, ${due.minorUnits} ${due.currencyCode} due`)
    return order
  }

  async pay(order: Order) {
    const request = create(RecordPaymentRequestSchema, {
      storeId: this.storeId,
      requestId: randomUUID(),
      orderId: order.orderId,
      providerPaymentId: `pay-${order.orderId}`,
      providerEventId: 'event-1',
      fact: PaymentFact.CAPTURED,
      method: 'CREDIT_CARD',
      amount: given(order.totals?.due),
    })
    const paid = await repeated(() => this.orders.recordPayment(request, this.payments))
    console.log(`${order.orderId} is ${name(OrderStateSchema, given(paid.order).state)}`)
  }

  async preview(order: Order): Promise<string> {
    const selection = { case: 'all', value: {} } as const
    const request = { storeId: this.storeId, orderId: order.orderId, selection, reason: 'NO_LONGER_WANTED' }
    const preview = await repeated(() => this.cancellations.previewCancellation(request, this.storefront))
    assert(preview.allowed && preview.rejections.length === 0)
    const total = given(preview.expectedRefund?.total)
    const rules = preview.options.filter(option => option.chosen).map(option => option.rule)
    console.log(`it may be cancelled by the rule ${rules.join(', ')}: ${total.minorUnits} ${total.currencyCode} would go back`)
    return preview.quote
  }

  cancellation(orderId: string, reason: string, quote = '') {
    const selection = { case: 'all', value: {} } as const
    return create(RequestCancellationRequestSchema, {
      storeId: this.storeId, requestId: randomUUID(), orderId, selection, reason, quote,
    })
  }

  async cancel(order: Order, quote: string) {
    const request = this.cancellation(order.orderId, 'NO_LONGER_WANTED', quote)
    const ask = () => this.cancellations.requestCancellation(request, this.storefront)
    const cancelled = await repeated(ask)
    const cancellation = given(cancelled.cancellation)
    const state = name(CancellationStateSchema, cancellation.state)
    console.log(`${cancellation.cancellationId} is ${state}, the order ${name(OrderStateSchema, cancelled.orderState)}`)
    // The same request again has no second effect: it gets the answer of the first time.
    assert(equals(RequestCancellationResponseSchema, await ask(), cancelled))
  }

  async settle() {
    // Each call claims other refunds: an answer that is lost is left to the end of its lease, and not asked for again.
    const claimed = await this.refunds.claimRefunds({ storeId: this.storeId, workerId: 'worker-1' }, this.payments)
    for (const { refundId } of claimed.refunds) {
      const request = {
        storeId: this.storeId,
        requestId: randomUUID(),
        refundId,
        result: RefundResult.SETTLED,
        providerRefundId: `re-${refundId}`,
      }
      const refund = given((await repeated(() => this.refunds.recordRefundResult(request, this.payments))).refund)
      const total = given(refund.amount?.total)
      console.log(`${refundId} of ${total.minorUnits} ${total.currencyCode} is ${name(RefundStateSchema, refund.state)}`)
    }
  }

  async history(order: Order) {
    let pageToken = ''
    do {
      const request = { storeId: this.storeId, orderId: order.orderId, pageSize: 2, pageToken }
      const page = await repeated(() => this.orders.listOrderHistory(request, this.storefront))
      for (const event of page.events) console.log(`  ${event.orderVersion} ${name(EventTypeSchema, event.eventType)}`)
      pageToken = page.nextPageToken
    } while (pageToken)
  }

  async dispatch(order: Order) {
    const { shipmentId, fence } = given(order.shipments[0])
    const request = { storeId: this.storeId, requestId: randomUUID(), shipmentId, fence }
    const left = given((await repeated(() => this.shipments.dispatchShipment(request, this.warehouse))).shipment)
    console.log(`${left.shipmentId} is ${name(ShipmentStageSchema, left.stage)}`)
  }

  // docs: refused
  async beRefused(orderId: string, why: string) {
    const request = this.cancellation(orderId, why)
    try {
      await repeated(() => this.cancellations.requestCancellation(request, this.storefront))
    } catch (thrown) {
      const error = ConnectError.from(thrown)
      console.log(`${codeName(error.code)} ${reason(error)}`)
      for (const info of error.findDetails(ErrorInfoSchema)) {
        for (const key of Object.keys(info.metadata).sort()) console.log(`  ${key}: ${info.metadata[key]}`)
      }
      for (const { type, subject } of error.findDetails(PreconditionFailureSchema).flatMap(it => it.violations)) {
        console.log(`  against it: ${type} of ${subject}`)
      }
      for (const { field, description } of error.findDetails(BadRequestSchema).flatMap(it => it.fieldViolations)) {
        console.log(`  field ${field}: ${description}`)
      }
      return
    }
    assert.fail('it is refused')
  }
  // docs: end

  // docs: watch
  /** Watches from a token on, or from now, until an event of this type, or the first message. Gives the token behind it. */
  async watch(resumeToken: string, until: EventType): Promise<string> {
    for (;;) {
      const begin = resumeToken ? { case: 'resumeToken', value: resumeToken } as const : { case: undefined }
      // Without a deadline, which would end the stream. Whoever leaves the loop ends it too.
      const call = { headers: given(this.storefront.headers) }
      for await (const message of this.events.watchEvents({ filter: { storeId: this.storeId }, begin }, call)) {
        // Handle what is new, and keep the token with the effect.
        for (const event of message.events) {
          if (event.eventType === until) {
            console.log(`saw ${name(EventTypeSchema, event.eventType)} of ${event.orderId}`)
            return message.resumeToken
          }
        }
        if (until === EventType.UNSPECIFIED) return message.resumeToken
        resumeToken = message.resumeToken
      }
      // It ended with OK: begin again with the token.
    }
  }
  // docs: end
}

const [address, storeId] = process.argv.slice(2)
const tour = new Tour(given(address), given(storeId))
await tour.openStore()
const token = await repeated(() => tour.watch('', EventType.UNSPECIFIED))
const mugs = await tour.place('mugs')
await tour.pay(mugs)
await tour.cancel(mugs, await tour.preview(mugs))
await tour.settle()
await tour.history(mugs)
const parcel = await tour.place('parcel', 'express')
await tour.pay(parcel)
await tour.dispatch(parcel)
await tour.beRefused('parcel', 'NO_LONGER_WANTED')
await tour.beRefused('parcel', '')
await repeated(() => tour.watch(token, EventType.CANCELLATION_COMPLETED))
// The connection is still open.
process.exit()
