UPDATE gates SET respond_within = NULL
