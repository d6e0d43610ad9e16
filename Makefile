# Two commands do everything on a fresh machine: `make run` and `make test`.

.PHONY: help run test bench attacks cluster upgrade fuzz proto configuration roles image docs pages release sbom

help: ## Says what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Runs Belay on 127.0.0.1:50051 with a private MySQL; Ctrl-C stops both, the data stays
	@server/dev/run.sh $(ARGS)

test: ## Checks format, protos, lints and documentation, then runs all tests on a real MySQL
	@server/dev/test.sh

bench: ## Measures Belay beside a bare client on the same durable MySQL
	@server/dev/bench.sh $(ARGS)

attacks: ## Attacks a server built with optimizations, and says what came and what memory it took
	@server/dev/attacks.sh $(ARGS)

cluster: ## Takes primaries away from a group of MySQL servers under load, and counts what callers lose
	@server/dev/cluster.sh $(ARGS)

upgrade: ## Runs servers of another revision and of this one on one database under load: make upgrade REVISION=v0.1.0
	@server/dev/upgrade.sh '$(REVISION)'

fuzz: ## Fuzzes what reads bytes of others, led by coverage: make fuzz ARGS='requests --seconds 60'
	@server/dev/fuzz.sh $(ARGS)

proto: ## Generates from the protos what is committed: proto/src/generated, and the reasons of the client's calls
	@BELAY_PROTO_WRITE=1 cargo test --quiet -p belay-proto --test generated -- generated_files_are_current
	@BELAY_PROTO_WRITE=1 cargo test --quiet -p belay-client --test reasons

configuration: ## Writes docs/configuration.md: every setting, from the program itself
	@cargo run --quiet -p belay-server --bin belay -- reference > docs/configuration.new && mv docs/configuration.new docs/configuration.md

roles: ## Writes proto/ROLES.md: which roles may call what, and which fields they see
	@BELAY_ROLES_WRITE=1 cargo test --quiet -p belay-wire --test roles -- the_manual_says_what_the_tables_say

pages: ## Writes the pages of the site that follow from tables and protos: errors, states, policies, API
	@BELAY_PAGES_WRITE=1 cargo test --quiet -p belay-domain --test commands -- properties::
	@BELAY_PAGES_WRITE=1 cargo test --quiet -p belay-wire --test site

docs: ## Builds the site into docs/book
	@server/dev/docs.sh

image: ## Keeps the contract of a release for buf breaking: make image VERSION=0.2.0
	@server/dev/images.sh add '$(VERSION)'

release: ## Makes the archive for those without a compiler, in dist/: program, bill of materials, licences
	@server/dev/release.sh archive

sbom: ## Writes the bill of materials of the program, in belay.cdx.json
	@server/dev/release.sh sbom
