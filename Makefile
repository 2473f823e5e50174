# ckaito. `make` builds, `make quickstart` shows it running, `make test` proves it; CONTRIBUTING.md says more.
BUILD   ?= release
OUT     := build/$(BUILD)
CC      := gcc
PKGS    := libmicrohttpd libcurl openssl libcjson yaml-0.1

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
        -Wwrite-strings -Wcast-qual -Wformat=2 -Wundef -Wvla -Wimplicit-fallthrough -Wconversion -Wno-sign-conversion \
        -Werror=implicit-function-declaration -Werror=incompatible-pointer-types -Werror=return-type $(if $(CI),-Werror)
FLAGS_release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
                 -fcf-protection -fPIE -ffunction-sections -fdata-sections
LINK_release  := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections
FLAGS_debug   := -O0 -g3
FLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan    := -O1 -g -fsanitize=thread
LINK_asan     := -fsanitize=address,undefined
LINK_tsan     := -fsanitize=thread
VERSION  := 0.1.0
CPPFLAGS := -I. -D_GNU_SOURCE -DCKAITO_VERSION='"$(VERSION)"' -MMD -MP $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS   := -std=gnu17 -fno-common $(WARN) $(FLAGS_$(BUILD))
LDFLAGS  := $(LINK_$(BUILD)) -Wl,--as-needed
LDLIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lnng -lpthread -lm

LIBRARY  := $(wildcard common/*/*.c proto/*.c)
PARTS    := $(wildcard cli/*.c webhook/*.c reconciler/*.c provisioner/*.c provisioner/drivers/*.c) services/service.c
PROGRAMS := webhook reconciler provisioner ckaito
TESTS    := $(wildcard test/unit/*/*_test.c)
TESTLIB  := $(wildcard test/lib/*.c)
FUZZERS  := $(wildcard test/fuzz/*_fuzz.c)
obj       = $(patsubst %.c,$(OUT)/%.o,$(1))
BINARIES := $(patsubst %,$(OUT)/ckaito-%,$(filter-out ckaito,$(PROGRAMS))) $(OUT)/ckaito $(OUT)/kubectl-ckaito

all: $(BINARIES)

$(OUT)/libcommon.a: $(call obj,$(LIBRARY))
$(OUT)/libparts.a: $(call obj,$(PARTS))
$(OUT)/libtest.a: $(call obj,$(TESTLIB))
$(OUT)/%.a:
	@rm -f $@; ar rcs $@ $^
$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D); echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(call obj,common/catalogue/data.c): common/catalogue/models.yaml common/catalogue/machines.yaml
$(OUT)/ckaito-%: $(OUT)/services/%_main.o $(OUT)/libparts.a $(OUT)/libcommon.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(OUT)/ckaito: $(OUT)/services/ckaito_main.o $(OUT)/libparts.a $(OUT)/libcommon.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(OUT)/kubectl-ckaito: $(OUT)/services/kubectl_ckaito_main.o $(OUT)/libparts.a $(OUT)/libcommon.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(OUT)/test/unit/%_test: $(OUT)/test/unit/%_test.o $(OUT)/libtest.a $(OUT)/libparts.a $(OUT)/libcommon.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@
.SECONDARY:

$(OUT)/test/lint/documents: $(OUT)/test/lint/documents.o $(OUT)/test/lint/rules_document.o $(OUT)/libparts.a $(OUT)/libcommon.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
unit-tests: $(patsubst %.c,$(OUT)/%,$(TESTS))
check: unit-tests fuzz-replay           ## unit tests and the fuzz corpora
	@test/run-unit $(OUT)
fuzz-replay: $(patsubst %.c,$(OUT)/%_replay,$(FUZZERS))
$(OUT)/test/fuzz/%_replay: $(OUT)/test/fuzz/%.o $(OUT)/test/fuzz/replay.o $(OUT)/libparts.a $(OUT)/libcommon.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
corpus: all ; @test/corpus/run $(OUT)/kubectl-ckaito   ## what admission answers, without a cluster
test: ; @test/run-all $(BUILD)          ## sets everything up and runs every test
lint: ; @test/lint/run                  ## format, includes, banned calls, clang-tidy, cppcheck, spelling
fuzz-smoke: ; @test/fuzz/smoke          ## 30 s of each fuzz target under clang
bench: all ; @test/bench/run $(OUT)     ## measured figures beside their floors
load: all ; @test/load/run $(OUT)       ## the webhook under load and misbehaving clients
quickstart: ; @test/cluster/quickstart.sh
quickstart-stop: ; @test/cluster/quickstart.sh stop
clean: ; rm -rf build
.PHONY: all unit-tests check fuzz-replay corpus test lint fuzz-smoke bench load quickstart quickstart-stop clean
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
