-- What reports need: the views that stay, and no table.
GRANT SELECT ON `{database}`.`report_orders` TO {user};
GRANT SELECT ON `{database}`.`report_order_lines` TO {user};
GRANT SELECT ON `{database}`.`report_shipments` TO {user};
GRANT SELECT ON `{database}`.`report_cancellations` TO {user};
GRANT SELECT ON `{database}`.`report_cancellation_parts` TO {user};
GRANT SELECT ON `{database}`.`report_refunds` TO {user};
GRANT SELECT ON `{database}`.`report_incidents` TO {user};
