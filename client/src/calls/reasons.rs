//! The reasons for which each call fails, as the documentation of its RPC names them.
// Generated from the protos by `make proto`; a test keeps it current.

use super::macros::reasons;

reasons! { ActivatePolicy, ActivatePolicyReason: [InvalidField, SecondPersonNeeded, PolicyNotFound, OutOfScope] }
reasons! { AddNote, AddNoteReason: [RoleNotAllowed, OrderNotFound, OutOfScope, ShipmentNotFound, CancellationNotFound, RequestIdReused, EtagMismatch, LimitReached] }
reasons! { AnswerIntercept, AnswerInterceptReason: [OrderNotFound, ShipmentNotFound, RequestIdReused, GateNotOpen, LimitReached] }
reasons! { AnswerStop, AnswerStopReason: [OrderNotFound, ShipmentNotFound, CancellationNotFound, RequestIdReused, QuantityUnavailable, WarehouseCannotStop, GateNotOpen, LimitReached] }
reasons! { ApproveCancellation, ApproveCancellationReason: [OrderNotFound, CancellationNotFound, RequestIdReused, EtagMismatch, GateNotOpen, GateTimedOut, LimitReached] }
reasons! { ArchiveSku, ArchiveSkuReason: [WarehouseNotFound, RequestIdReused] }
reasons! { ClaimRefunds, ClaimRefundsReason: [] }
reasons! { CommitPosition, CommitPositionReason: [ResumeTokenInvalid, PositionAhead, PositionBehind, ConsumersExhausted] }
reasons! { CreateOrder, CreateOrderReason: [InvalidField, OutOfScope, OrderAlreadyExists, UnknownWarehouse, UnknownCarrier, CurrencyMismatch] }
reasons! { CreatePolicy, CreatePolicyReason: [OutOfScope, PolicyInvalid] }
reasons! { CreateStore, CreateStoreReason: [PresetNotFound, OutOfScope, StoreAlreadyExists, PolicyInvalid] }
reasons! { DeleteConsumer, DeleteConsumerReason: [] }
reasons! { DispatchShipment, DispatchShipmentReason: [OrderNotFound, ShipmentNotFound, RequestIdReused, EtagMismatch, FenceStale, PaymentLapsed, NotReleased, StageMismatch, ShipmentHeld, ShipmentBarred] }
reasons! { FindOrders, FindOrdersReason: [PageTokenInvalid] }
reasons! { GetBulkCancellation, GetBulkCancellationReason: [BulkCancellationNotFound] }
reasons! { GetCancellation, GetCancellationReason: [OrderNotFound, CancellationNotFound] }
reasons! { GetConsumer, GetConsumerReason: [ConsumerNotFound] }
reasons! { GetOrder, GetOrderReason: [OrderNotFound] }
reasons! { GetPolicy, GetPolicyReason: [PolicyNotFound] }
reasons! { GetRefund, GetRefundReason: [OrderNotFound, RefundNotFound] }
reasons! { GetSellerQuality, GetSellerQualityReason: [] }
reasons! { GetShipment, GetShipmentReason: [OrderNotFound, ShipmentNotFound] }
reasons! { GetStock, GetStockReason: [WarehouseNotFound] }
reasons! { GetStore, GetStoreReason: [StoreNotFound] }
reasons! { HoldShipment, HoldShipmentReason: [InvalidField, OrderNotFound, ShipmentNotFound, RequestIdReused, EtagMismatch, FenceStale, StageMismatch, LimitReached] }
reasons! { ListBulkCancellations, ListBulkCancellationsReason: [PageTokenInvalid] }
reasons! { ListBulkResults, ListBulkResultsReason: [PageTokenInvalid, BulkCancellationNotFound] }
reasons! { ListCancellations, ListCancellationsReason: [PageTokenInvalid] }
reasons! { ListCarriers, ListCarriersReason: [PageTokenInvalid] }
reasons! { ListConsumers, ListConsumersReason: [PageTokenInvalid] }
reasons! { ListCountedCancellations, ListCountedCancellationsReason: [PageTokenInvalid] }
reasons! { ListDecisions, ListDecisionsReason: [PageTokenInvalid] }
reasons! { ListEvents, ListEventsReason: [PageTokenInvalid, ResumeTokenInvalid, PositionExpired, PositionAhead] }
reasons! { ListIncidents, ListIncidentsReason: [PageTokenInvalid] }
reasons! { ListOrderHistory, ListOrderHistoryReason: [PageTokenInvalid, OrderNotFound] }
reasons! { ListOrders, ListOrdersReason: [PageTokenInvalid] }
reasons! { ListPolicies, ListPoliciesReason: [PageTokenInvalid] }
reasons! { ListPresets, ListPresetsReason: [] }
reasons! { ListReasons, ListReasonsReason: [OrderNotFound, OutOfScope, LineNotFound, ShipmentNotFound] }
reasons! { ListRefunds, ListRefundsReason: [PageTokenInvalid] }
reasons! { ListShipments, ListShipmentsReason: [PageTokenInvalid] }
reasons! { ListStock, ListStockReason: [PageTokenInvalid, WarehouseNotFound] }
reasons! { ListStockEntries, ListStockEntriesReason: [PageTokenInvalid, WarehouseNotFound] }
reasons! { ListStockHolders, ListStockHoldersReason: [PageTokenInvalid, WarehouseNotFound] }
reasons! { ListStores, ListStoresReason: [PageTokenInvalid] }
reasons! { ListThresholdCrossings, ListThresholdCrossingsReason: [PageTokenInvalid] }
reasons! { ListWarehouses, ListWarehousesReason: [PageTokenInvalid] }
reasons! { MarkReady, MarkReadyReason: [OrderNotFound, ShipmentNotFound, RequestIdReused, EtagMismatch, FenceStale, PaymentLapsed, NotReleased, StageMismatch] }
reasons! { PreviewCancellation, PreviewCancellationReason: [OrderNotFound, OutOfScope, LineNotFound, ShipmentNotFound] }
reasons! { PutCarrier, PutCarrierReason: [OutOfScope, EtagMismatch] }
reasons! { PutWarehouse, PutWarehouseReason: [OutOfScope, EtagMismatch] }
reasons! { ReceiveParcel, ReceiveParcelReason: [OrderNotFound, ShipmentNotFound, RequestIdReused, QuantityUnavailable, StageMismatch, LimitReached] }
reasons! { RecordPayment, RecordPaymentReason: [RoleNotAllowed, OrderNotFound, RefundNotFound, RequestIdReused, CurrencyMismatch, LimitReached] }
reasons! { RecordRefundResult, RecordRefundResultReason: [OrderNotFound, RefundNotFound, RequestIdReused, CurrencyMismatch, RefundNotClaimed] }
reasons! { RecordTracking, RecordTrackingReason: [OrderNotFound, ShipmentNotFound, RequestIdReused, Delivered, LimitReached] }
reasons! { RejectCancellation, RejectCancellationReason: [OrderNotFound, CancellationNotFound, RequestIdReused, EtagMismatch, ConsentRefused, GateNotOpen, GateTimedOut, LimitReached] }
reasons! { ReleaseHold, ReleaseHoldReason: [OrderNotFound, ShipmentNotFound, RequestIdReused, EtagMismatch, FenceStale] }
reasons! { RequestCancellation, RequestCancellationReason: [OrderNotFound, OutOfScope, LineNotFound, ShipmentNotFound, RequestIdReused, EtagMismatch, ReasonRequired, ReasonUnknown, ReasonNotAllowed, NoteRequired, EvidenceRequired, AlreadyPending, UnitsClaimed, QuantityUnavailable, NothingToCancel, QuoteExpired, QuoteMismatch, NotAllowed, Shipped, Delivered, AlreadyEnded, PaymentVerifying, UnpaidClosesItself, RefundNotOffered, NotInterceptable, LabelUnavailableInRegion, LimitReached] }
reasons! { ResolveIncident, ResolveIncidentReason: [OrderNotFound, IncidentNotFound, RequestIdReused, EtagMismatch, IncidentResolved, ResolutionNotAllowed, LimitReached] }
reasons! { SetStock, SetStockReason: [WarehouseNotFound, RequestIdReused] }
reasons! { SplitShipment, SplitShipmentReason: [InvalidField, OrderNotFound, LineNotFound, ShipmentNotFound, RequestIdReused, EtagMismatch, FenceStale, QuantityUnavailable, StageMismatch, ShipmentBarred, SplitNotAllowed, LimitReached] }
reasons! { StartBulkCancellation, StartBulkCancellationReason: [OrderNotFound, RequestIdReused, BulkCancellationsExhausted] }
reasons! { StartPreparation, StartPreparationReason: [OrderNotFound, ShipmentNotFound, RequestIdReused, EtagMismatch, FenceStale, PaymentLapsed, NotReleased, StageMismatch] }
reasons! { StopBulkCancellation, StopBulkCancellationReason: [BulkCancellationNotFound] }
reasons! { SummarizeActions, SummarizeActionsReason: [] }
reasons! { SummarizeOrders, SummarizeOrdersReason: [] }
reasons! { UpdateCancellationMetadata, UpdateCancellationMetadataReason: [OrderNotFound, OutOfScope, CancellationNotFound, RequestIdReused, EtagMismatch, LimitReached] }
reasons! { UpdateOrderMetadata, UpdateOrderMetadataReason: [OrderNotFound, RequestIdReused, EtagMismatch, LimitReached] }
reasons! { UpdateStore, UpdateStoreReason: [InvalidField, OutOfScope, EtagMismatch] }
reasons! { WithdrawCancellation, WithdrawCancellationReason: [OrderNotFound, CancellationNotFound, RequestIdReused, EtagMismatch, NotTheRequester, TooLateToWithdraw] }
