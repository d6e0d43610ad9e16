-- What `belay serve` needs, and nothing more. History, decisions, answers and policies can be added to and not changed: this
-- account cannot UPDATE or DELETE a row of events, order_history, decisions, requests or policies. Where old rows are to be
-- pruned, retention.sql comes beside this. `belay grants serve` fills in the names.

-- Orders.
GRANT SELECT, INSERT, UPDATE ON `{database}`.`orders` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`order_lines` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`payments` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`shipments` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`cancellations` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`cancellation_parts` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`gates` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`refunds` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`incidents` TO {user};

-- What happened: added to, never changed.
GRANT SELECT, INSERT ON `{database}`.`events` TO {user};
GRANT SELECT, INSERT ON `{database}`.`decisions` TO {user};
GRANT SELECT, INSERT ON `{database}`.`requests` TO {user};
GRANT SELECT ON `{database}`.`order_history` TO {user};

-- The ends of the feed, and who reads it.
GRANT SELECT, UPDATE ON `{database}`.`partition_heads` TO {user};
GRANT SELECT ON `{database}`.`partition_tails` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`consumers` TO {user};

-- Stores and what belongs to them.
GRANT SELECT, INSERT, UPDATE ON `{database}`.`stores` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`carriers` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`warehouses` TO {user};
GRANT SELECT, INSERT ON `{database}`.`policies` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`policy_activations` TO {user};

-- Bulk cancellations.
GRANT SELECT, INSERT, UPDATE ON `{database}`.`bulk_cancellations` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`bulk_orders` TO {user};

-- Stock and the quality of sellers, which follow from the feed and are built anew from it.
GRANT SELECT, UPDATE ON `{database}`.`projections` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`projection_positions` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`stock_entries` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`stock_balances` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`stock_orders` TO {user};
GRANT SELECT, INSERT, DELETE ON `{database}`.`stock_holders` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`seller_facts` TO {user};
GRANT SELECT, INSERT ON `{database}`.`stock_tellings` TO {user};
GRANT SELECT, INSERT ON `{database}`.`seller_crossings` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`seller_standings` TO {user};

-- How far secondaries are, where reads may be answered by them.
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`heartbeats` TO {user};

-- What was fixed when the database was created.
GRANT SELECT ON `{database}`.`settings` TO {user};
GRANT SELECT ON `{database}`.`__diesel_schema_migrations` TO {user};
