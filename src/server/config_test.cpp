#include "server/config.h"

#include <gtest/gtest.h>

namespace weir::server {
namespace {

std::string error_field(std::string_view toml) {
    const auto config = parse_config(toml);
    return config ? "accepted" : config.error().field;
}

TEST(Config, TheCommentedExampleIsValidAndUsesEveryKey) {
    const auto config = load_config(WEIR_EXAMPLE_CONFIG);
    ASSERT_TRUE(config) << config.error().message;
    ASSERT_EQ(config->backends.size(), 2u);
    EXPECT_TRUE(config->backends[0].is_local());
    EXPECT_EQ(config->backends[0].clearance, chat::Label::Restricted);
    EXPECT_EQ(config->backends[1].clearance, chat::Label::Internal);
    EXPECT_EQ(config->backends[1].price.input, ledger::Rate{2'500'000'000'000});
    EXPECT_EQ(config->memory_budget_bytes, uint64_t{8} << 30);
    EXPECT_EQ(config->keys.at(0).hash, ledger::sha256("test"));
    ASSERT_EQ(config->routes.size(), 3u);
    EXPECT_EQ(config->routes[0].backends, (std::vector<size_t>{1, 0}));
}

TEST(Config, EmptyMeansTheEmbeddedModelOnLoopback) {
    const auto config = parse_config("");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->listen_address, "127.0.0.1");
    ASSERT_EQ(config->routes.size(), 1u);
    EXPECT_EQ(config->routes[0].model, kEmbeddedModelName);
    EXPECT_TRUE(std::get<ModelSource>(config->backends[0].source).path.empty());
}

TEST(Config, WhatIsWrongIsNamedByItsPath) {
    EXPECT_EQ(error_field("nonsense = 1"), "nonsense");
    EXPECT_EQ(error_field("[server]\nlisten = \"here\""), "server.listen");
    EXPECT_EQ(error_field("[server]\nlisten = \"127.0.0.1:99999\""), "server.listen");
    EXPECT_EQ(error_field("[server]\nmemory_budget = \"much\""), "server.memory_budget");
    EXPECT_EQ(error_field("[server]\ntls_key_file = \"k\""), "server.tls_key_file");
    EXPECT_EQ(error_field("[policy]\nscan_deadline_ms = -1"), "policy.scan_deadline_ms");
    EXPECT_EQ(error_field("[[backend]]\nname = \"a\""), "backend[0].kind");
    EXPECT_EQ(error_field("[[backend]]\nname = \"a\"\nkind = \"x\""), "backend[0].kind");
    EXPECT_EQ(error_field("[[backend]]\nname = \"a b\"\nkind = \"model\""), "backend[0].name");
    EXPECT_EQ(error_field("[[backend]]\nname = \"a\"\nkind = \"model\"\npth = \"x\""),
              "backend[0].pth");
    EXPECT_EQ(error_field("[[backend]]\nname=\"a\"\nkind=\"openai\"\nmodel=\"m\"\n"
                          "base_url=\"ftp://x\""),
              "backend[0].base_url");
    EXPECT_EQ(error_field("[[backend]]\nname=\"a\"\nkind=\"model\"\nclearance=\"top\""),
              "backend[0].clearance");
    EXPECT_EQ(error_field("[[backend]]\nname=\"a\"\nkind=\"model\"\nprice={input=\"x\","
                          "output=\"1\"}"),
              "backend[0].price.input");
    EXPECT_EQ(error_field("[[route]]\nmodel = \"m\"\nbackends = [\"none\"]"), "route[0].backends");
    EXPECT_EQ(error_field("[[route]]\nmodel = \"m\"\nbackends = []"), "route[0].backends");
    EXPECT_EQ(error_field("[[key]]\nname = \"k\"\nsha256 = \"12\""), "key[0].sha256");
    EXPECT_EQ(error_field("[[backend]]\nname=\"a\"\nkind=\"model\"\n"
                          "[[backend]]\nname=\"a\"\nkind=\"model\""),
              "backend[1]");
}

TEST(Config, BrokenTomlNamesTheLine) {
    const auto config = parse_config("[server]\nlisten = ");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().message.find("line 2"), std::string::npos);
    EXPECT_FALSE(parse_config("when = 2026-01-01"));
}

TEST(ParseBytes, KnowsBinaryUnitsAndRefusesTheRest) {
    EXPECT_EQ(parse_bytes("8GiB"), uint64_t{8} << 30);
    EXPECT_EQ(parse_bytes("100"), 100u);
    for (const std::string_view bad : {"", "GiB", "-1GiB", "8GB", "1.5GiB", "99999999999TiB"}) {
        EXPECT_FALSE(parse_bytes(bad)) << bad;
    }
}

}  // namespace
}  // namespace weir::server
