DROP TABLE IF EXISTS policy_activations
