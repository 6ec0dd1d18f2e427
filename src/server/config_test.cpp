#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>

namespace weir::server {
namespace {

std::string error_field(std::string_view toml) {
    const auto config = parse_config(toml);
    return config ? "accepted" : config.error().field;
}

std::string message_of(std::string_view toml) {
    const auto config = parse_config(toml);
    return config ? "accepted" : config.error().message;
}

// Every key that stands in a TOML file, commented out or not, as "backend.price.input".
std::set<std::string> keys_written_in(const std::string& path) {
    std::ifstream file(path);
    const std::regex header(R"(^\[+(\w+)\]+)");
    const std::regex line_key(R"(^(?:# )?(\w+) = (\{.*\})?)");
    const std::regex inner_key(R"((\w+) = )");
    std::set<std::string> keys;
    std::string table;
    for (std::string line; std::getline(file, line);) {
        std::smatch found;
        if (std::regex_search(line, found, header)) {
            table = found[1];
        } else if (std::regex_search(line, found, line_key)) {
            const std::string key = table + "." + found[1].str();
            keys.insert(key);
            const std::string inner = found[2];
            for (auto it = std::sregex_iterator(inner.begin(), inner.end(), inner_key);
                 it != std::sregex_iterator(); ++it) {
                keys.insert(key + "." + (*it)[1].str());
            }
        }
    }
    return keys;
}

TEST(Config, TheCommentedExampleHasEveryKeyThatIsLookedForAndNoOther) {
    std::ifstream file(WEIR_EXAMPLE_CONFIG);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::set<std::string> looked_for;
    ASSERT_TRUE(parse_config(text, {.folder = {}, .keys_read = &looked_for}));
    for (const std::string table : {"server", "policy"}) {
        looked_for.erase(table);
    }
    EXPECT_EQ(keys_written_in(WEIR_EXAMPLE_CONFIG), looked_for);
}

TEST(Config, TheCommentedExampleIsValid) {
    const auto config = load_config(WEIR_EXAMPLE_CONFIG);
    ASSERT_TRUE(config) << config.error().message;
    ASSERT_EQ(config->backends.size(), 2u);
    EXPECT_TRUE(config->backends[0].is_local());
    EXPECT_EQ(config->backends[0].clearance, chat::Label::Restricted);
    EXPECT_EQ(config->backends[1].clearance, chat::Label::Internal);
    EXPECT_EQ(config->backends[0].price->input, ledger::Rate{0});
    EXPECT_EQ(config->backends[1].price->input, ledger::Rate{2'500'000'000'000});
    EXPECT_EQ(config->memory_budget_bytes, uint64_t{8} << 30);
    EXPECT_EQ(config->keys.at(0).hash, ledger::sha256("test"));
    ASSERT_EQ(config->routes.size(), 1u);
    EXPECT_EQ(config->routes[0].backends, (std::vector<size_t>{1, 0}));
}

TEST(Config, WithARouteABackendCannotBeAskedForPastIt) {
    constexpr std::string_view kBackends =
        "[[backend]]\nname=\"a\"\nkind=\"model\"\n[[backend]]\nname=\"b\"\nkind=\"model\"\n";
    const auto names = [](const Result<Config>& config) {
        std::vector<std::string> out;
        for (const RouteConfig& route : config->routes) {
            out.push_back(route.model);
        }
        return out;
    };
    const auto open = parse_config(kBackends);
    ASSERT_TRUE(open);
    EXPECT_THAT(names(open), ::testing::ElementsAre("a", "b"));
    const auto routed = parse_config(
        std::string(kBackends) + "[[route]]\nmodel=\"m\"\nbackends=[\"a\"]\nlabel=\"restricted\"");
    ASSERT_TRUE(routed);
    EXPECT_THAT(names(routed), ::testing::ElementsAre("m"));
}

constexpr std::string_view kSha =
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

TEST(Config, TwoKeysWithOneHashAreRefusedByBothNames) {
    const std::string message =
        message_of(fmt::format("[[key]]\nname=\"one\"\nsha256=\"{0}\"\n\n"
                               "[[key]]\nname=\"two\"\nlabel=\"public\"\nsha256=\"{0}\"",
                               kSha));
    EXPECT_EQ(message,
              "line 8: key \"two\": sha256 is also that of key \"one\": give each its own");
}

std::string remote(std::string_view url, std::string_view more = "") {
    return fmt::format(
        "[[backend]]\nname=\"far\"\nkind=\"openai\"\nmodel=\"m\"\nbase_url=\"{}\"\n{}", url, more);
}

TEST(Config, PlainHttpLeavesThisMachineOnlyWhereItIsAllowed) {
    for (const std::string_view here :
         {"http://127.0.0.1:1/v1", "http://127.9.9.9", "http://localhost:11434/v1",
          "http://[::1]:8000/v1", "http://[0:0:0:0:0:0:0:1]/v1"}) {
        EXPECT_TRUE(parse_config(remote(here))) << here;
    }
    for (const std::string_view elsewhere :
         {"http://10.0.0.7/v1", "http://api.example.com/v1", "http://localhost.example.com",
          "http://128.0.0.1", "http://[::2]", "http://[::ffff:127.0.0.1]", "http://0.0.0.0"}) {
        EXPECT_EQ(error_field(remote(elsewhere)), "backend[0].base_url") << elsewhere;
        EXPECT_TRUE(parse_config(remote(elsewhere, "allow_plain_http = true"))) << elsewhere;
    }
    EXPECT_TRUE(parse_config(remote("https://api.example.com/v1")));
}

TEST(Config, MessagesNameLineTableAndKey) {
    EXPECT_THAT(
        message_of(remote("https://x/v1", "price = {input=\"2,5\", output=\"1\"}")),
        ::testing::StartsWith("line 6: backend \"far\": price.input is wrong: not a price"));
    EXPECT_THAT(message_of("[[key]]\nname=\"k\"\nsha256=\"12\""),
                ::testing::StartsWith("line 3: key \"k\": sha256 is wrong: a SHA-256 has 64"));
    EXPECT_THAT(message_of("\n[server]\nmemory_budget=\"much\""),
                ::testing::StartsWith("line 3: server.memory_budget is wrong: not a size"));
    EXPECT_THAT(message_of(remote("example.com")),
                ::testing::StartsWith("line 5: backend \"far\": base_url is wrong: the base URL"));
    EXPECT_EQ(message_of("[[backend]]\nname=\"a\"\nkind=\"model\"\npth=\"x\""),
              "line 4: backend \"a\": pth is no key that Weir knows");
    EXPECT_EQ(message_of("[[backend]]\nname=\"a\""), "line 1: backend \"a\": kind is required");
    EXPECT_EQ(message_of("[backend]\nname=\"a\""),
              "line 1: backend must be written [[backend]]: there may be several");
    EXPECT_EQ(message_of("[[route]]\nmodel=\"m\"\nbackends=[\"x\"]"),
              "line 3: route \"m\": backends names no backend: x");
    // A name that cannot be shown is not shown.
    EXPECT_THAT(message_of("[[backend]]\nname=\"a\\nb\"\nkind=\"model\""),
                ::testing::StartsWith("line 2: backend[0].name must have"));
}

TEST(Config, CredentialsInAUrlAreRefusedAndNotRepeated) {
    const std::string message = message_of(remote("https://user:secret@example.com/v1"));
    EXPECT_THAT(message, ::testing::HasSubstr("must not hold credentials"));
    EXPECT_THAT(message, ::testing::Not(::testing::HasSubstr("secret@")));
    EXPECT_TRUE(parse_config(remote("https://example.com/a@b")));
}

TEST(Config, PathsStartAtTheConfigurationsFolderAndAtHome) {
    const char* home = std::getenv("HOME");
    ASSERT_NE(home, nullptr);
    const auto path_of = [](std::string_view path) {
        const auto config =
            parse_config(fmt::format("[[backend]]\nname=\"a\"\nkind=\"model\"\npath=\"{}\"", path),
                         {.folder = "/etc/weir"});
        return config ? std::get<ModelSource>(config->backends[0].source).path
                      : config.error().message;
    };
    EXPECT_EQ(path_of("/srv/m.gguf"), "/srv/m.gguf");
    EXPECT_EQ(path_of("m.gguf"), "/etc/weir/m.gguf");
    EXPECT_EQ(path_of("../models/m.gguf"), "/etc/models/m.gguf");
    EXPECT_EQ(path_of("~/m.gguf"), (std::filesystem::path(home) / "m.gguf").lexically_normal());
    EXPECT_THAT(path_of(""), ::testing::HasSubstr("must not be empty"));
}

TEST(Config, FilesThatCannotBeReadAreNamedWithTheirBackend) {
    Config config = default_config();
    EXPECT_TRUE(check_files(config));
    auto& path = std::get<ModelSource>(config.backends[0].source).path;
    path = "/nope/m.gguf";
    EXPECT_EQ(check_files(config).error().message,
              "backend \"weir-tiny\": path: cannot read /nope/m.gguf: No such file or directory");
    path = "/dev/null";
    EXPECT_EQ(check_files(config).error().message,
              "backend \"weir-tiny\": path: /dev/null is not a regular file and not a folder");
    path = "/";
    EXPECT_TRUE(check_files(config));
}

TEST(Config, AFileThatIsNotThereIsNamedAsItWasGiven) {
    EXPECT_EQ(load_config("/nope.toml").error().message,
              "cannot read /nope.toml: No such file or directory");
}

TEST(ParseListen, TakesAddressesAndLocalhostAndNothingElse) {
    const auto text = [](std::string_view listen) {
        const auto parsed = parse_listen(listen);
        return parsed ? fmt::format("{} {}", parsed->address, parsed->port) : "refused";
    };
    EXPECT_EQ(text("127.0.0.1:8080"), "127.0.0.1 8080");
    EXPECT_EQ(text("0.0.0.0:0"), "0.0.0.0 0");
    EXPECT_EQ(text("[::1]:65535"), "::1 65535");
    EXPECT_EQ(text("localhost:80"), "127.0.0.1 80");
    for (const std::string_view bad :
         {"", ":", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
          "127.0.0.1:80x", "::1:80", "[127.0.0.1]:80", "[]:80", "example.com:80", ":8080"}) {
        EXPECT_EQ(text(bad), "refused") << bad;
    }
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
              "backend[1].name");
}

TEST(Config, BrokenTomlNamesTheLine) {
    const auto config = parse_config("[server]\nlisten = ");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().message.find("line 2"), std::string::npos);
    EXPECT_FALSE(parse_config("when = 2026-01-01"));
}

TEST(Config, LettersOutsideOfQuotesAreAsciiAndInsideWhateverTheyLike) {
    const auto refused = parse_config("# é\n[server]\né = 1\n");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("line 3"), std::string::npos) << refused.error().message;
    for (const std::string_view path : {R"("é")", "'é'", R"("""
é""")",
                                        R"("a\"é")"}) {
        const auto config = parse_config(
            fmt::format("[[backend]]\nname = \"m\"\nkind = \"model\"  # é\npath = {}\n", path));
        EXPECT_TRUE(config) << path << ": " << config.error().message;
    }
}

TEST(Config, AHeaderThatBeginsWithNoKeyIsRefused) {
    for (const std::string_view text : {"[.a]", "[=]", "[[", "[[.]]", "[\x01"}) {
        EXPECT_EQ(parse_config(text).error().code, ErrorCode::InvalidArgument) << text;
    }
}

TEST(Config, DeepNestingIsRefusedBeforeItCostsTheStack) {
    const auto dotted = [](size_t parts) {
        std::string key;
        for (size_t i = 1; i < parts; ++i) {
            key += "a.";
        }
        return key + "a = 1";
    };
    EXPECT_EQ(message_of(dotted(40)), "line 1: nested deeper than 16 levels");
    for (const std::string before : {"", "x = \"\\\"\"\n", "x = '\\'\n", "# \"\n"}) {
        EXPECT_THAT(message_of(before + dotted(400'000)),
                    ::testing::HasSubstr("more than 64 dots in keys"))
            << before;
    }
    EXPECT_TRUE(parse_config("# " + std::string(100, '.') + "\n[server]\nallowed_hosts = [\"" +
                             std::string(100, '.') + "\"]"));
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
