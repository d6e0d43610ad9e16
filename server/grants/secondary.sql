-- What `belay serve` needs of the account by which it reads from secondaries (`--database-secondaries`): it only reads.
GRANT SELECT ON `{database}`.`orders` TO {user};
GRANT SELECT ON `{database}`.`order_lines` TO {user};
GRANT SELECT ON `{database}`.`payments` TO {user};
GRANT SELECT ON `{database}`.`shipments` TO {user};
GRANT SELECT ON `{database}`.`cancellations` TO {user};
GRANT SELECT ON `{database}`.`cancellation_parts` TO {user};
GRANT SELECT ON `{database}`.`gates` TO {user};
GRANT SELECT ON `{database}`.`refunds` TO {user};
GRANT SELECT ON `{database}`.`incidents` TO {user};
GRANT SELECT ON `{database}`.`decisions` TO {user};
GRANT SELECT ON `{database}`.`heartbeats` TO {user};
