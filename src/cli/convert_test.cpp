#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "cli/quantize.h"
#include "engine/local_model.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_model.h"
#include "model/tokenizer_metadata.h"

namespace weir::cli {
namespace {

using model::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// Of sixteen tokens. The normalizer makes another text of capitals: GGUF's keys cannot say that.
constexpr std::string_view kTokenizer = R"({"added_tokens": [
    {"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true},
    {"id": 2, "content": "</s>", "special": true}],
    "normalizer": {"type": "Lowercase"}, "pre_tokenizer": null, "decoder": null,
    "post_processor": null,
    "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2,
    "a": 3, "b": 4, "ab": 5}, "merges": ["a b"]}})";
constexpr std::string_view kTokenizerConfig = R"({"bos_token": "<s>", "eos_token": "</s>",
    "model_max_length": 1000000000000000019884624838656,
    "chat_template": [{"name": "default", "template": "{{ bos_token }}D"},
                      {"name": "tool_use", "template": "T"}]})";

class Convert : public ::testing::Test {
  protected:
    Convert() {
        std::filesystem::create_directory(in_);
        model::testing::write_tiny_folder({}, in_, 2);
        write("in/tokenizer.json", kTokenizer);
        write("in/tokenizer_config.json", kTokenizerConfig);
        write("in/generation_config.json", R"({"eos_token_id": [2, 5]})");
    }

    void write(std::string_view name, std::string_view text) const { folder_.write(name, text); }
    std::string path(std::string_view name) const { return (folder_.path() / name).string(); }
    Result<void> run(const std::string& in, const std::string& out,
                     Existing existing = Existing::Keep) const {
        return convert(access_, {.in = in, .out = out, .threads = 1, .existing = existing});
    }
    std::vector<std::string> names(const std::filesystem::path& folder) const {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            found.push_back(entry.path().filename().string());
        }
        return found;
    }
    static std::string text_of(const std::filesystem::path& file) {
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    TemporaryFolder folder_;
    std::filesystem::path in_ = folder_.path() / "in";
    ModelAccess access_{.enter_sandbox = [] { return Result<void>(); }, .embedded = {}};
};

// All that a model says besides its numbers.
void expect_same_text(const std::string& path) {
    const auto source = model::ModelSource::open(path);
    ASSERT_TRUE(source) << source.error().message;
    const auto tokenizer = engine::load_tokenizer(**source);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    EXPECT_THAT(*tokenizer->encode("AB</s>b", {.parse_special = true}), ElementsAre(5, 2, 4));
    EXPECT_EQ(tokenizer->bos(), 1u);
    EXPECT_EQ(tokenizer->eos(), 2u);
    EXPECT_EQ(tokenizer->unknown(), 0u);
    EXPECT_THAT(*engine::end_tokens_of(**source, &*tokenizer, 100), ElementsAre(2, 5));
    const auto chat = engine::load_chat_template(**source, *tokenizer);
    ASSERT_TRUE(chat && *chat != nullptr);
    const auto said = (*chat)->render({}, text::ChatTemplate::GenerationPrompt::No, {});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_EQ(said->text(), "<s>D");
    chat::Conversation with_tools;
    with_tools.tools = {{.name = "look_up"}};
    EXPECT_EQ((*chat)->render(with_tools, text::ChatTemplate::GenerationPrompt::No, {})->text(),
              "T");
}

TEST_F(Convert, TokenizerTemplateAndSpecialTokensSurviveBothWays) {
    expect_same_text(in_);
    ASSERT_TRUE(run(in_, path("there.gguf")));
    expect_same_text(path("there.gguf"));
    ASSERT_TRUE(run(path("there.gguf"), path("back")));
    expect_same_text(path("back"));
    EXPECT_EQ(text_of(path("back/tokenizer.json")), kTokenizer);
    EXPECT_THAT(text_of(path("back/tokenizer_config.json")), HasSubstr("tool_use"));
    EXPECT_THAT(names(path("back")),
                UnorderedElementsAre("config.json", "generation_config.json", "tokenizer.json",
                                     "tokenizer_config.json", "model.safetensors"));
}

// A tokenizer that GGUF's keys can say stands there too, and gives the same ids without the rest.
TEST_F(Convert, OtherProgramsFindTheTokenizerInTheUsualKeys) {
    write("in/tokenizer.json", R"({"added_tokens": [
        {"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true},
        {"id": 2, "content": "</s>", "special": true}],
        "normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece"}, "post_processor": null,
        "model": {"type": "WordPiece", "unk_token": "<unk>",
        "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "##b": 4, "b": 5}}})");
    ASSERT_TRUE(run(in_, path("there.gguf")));
    const auto file = model::GgufFile::open(path("there.gguf"));
    ASSERT_TRUE(file);
    const auto keys = model::read_tokenizer_metadata(*file);
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_EQ(keys->model, "bert");
    EXPECT_EQ(keys->bos_token_id, 1u);
    EXPECT_EQ(keys->eos_token_id, 2u);
    EXPECT_EQ(keys->chat_template, "{{ bos_token }}D");
    const auto of_keys = text::Tokenizer::from_spec(*keys);
    const auto whole = engine::load_tokenizer(**model::ModelSource::open(path("there.gguf")));
    ASSERT_TRUE(of_keys && whole);
    for (const std::string_view text : {"AB a", "a</s>ab"}) {
        EXPECT_EQ(*of_keys->encode(text, {.parse_special = true}),
                  *whole->encode(text, {.parse_special = true}));
    }
    ASSERT_TRUE(run(path("there.gguf"), path("back")));
    EXPECT_EQ(text_of(path("back/tokenizer.json")), text_of(path("in/tokenizer.json")));
}

// SentencePiece's file format: a BPE model of these pieces.
std::string sentencepiece_of(std::initializer_list<std::pair<std::string_view, char>> pieces) {
    const auto field = [](char tag, std::string_view bytes) {
        return std::string{tag, static_cast<char>(bytes.size())}.append(bytes);
    };
    std::string out;
    for (const auto& [text, type] : pieces) {
        out += field(0x0A, field(0x0A, text) + std::string{0x18, type});
    }
    return out + field(0x12, std::string{0x18, 2});
}

// The keys borrow from the file of pieces, which nobody else holds.
TEST_F(Convert, WhereTokenizerJsonHasNoKeysTokenizerModelGivesThem) {
    write("in/tokenizer.model",
          sentencepiece_of(
              {{"<unk>", 2}, {"<s>", 3}, {"</s>", 3}, {"a piece of more than fifteen bytes", 1}}));
    ASSERT_TRUE(run(in_, path("there.gguf")));
    const auto source = model::ModelSource::open(path("there.gguf"));
    ASSERT_TRUE(source) << source.error().message;
    const auto metadata = model::read_tokenizer_metadata(*(*source)->gguf());
    ASSERT_TRUE(metadata) << metadata.error().message;
    EXPECT_EQ(metadata->model, "llama");
    ASSERT_GE(metadata->tokens.size(), 4u);
    EXPECT_EQ(metadata->tokens[3], "a piece of more than fifteen bytes");
    expect_same_text(path("there.gguf"));
}

TEST_F(Convert, ATemplateForToolsInAFileOfItsOwnGoesAlong) {
    write("in/tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "</s>"})");
    write("in/chat_template.jinja", "{{ bos_token }}D");
    std::filesystem::create_directory(in_ / "additional_chat_templates");
    write("in/additional_chat_templates/tool_use.jinja", "T");
    expect_same_text(in_);
    ASSERT_TRUE(run(in_, path("there.gguf")));
    expect_same_text(path("there.gguf"));
    ASSERT_TRUE(run(path("there.gguf"), path("back")));
    expect_same_text(path("back"));
}

TEST_F(Convert, ATokenizerOfKeysGoesAlongAsAFileOfThem) {
    model::testing::TinyModel model;
    const auto bytes = model::testing::tiny_gguf(model);
    folder_.write("keys.gguf", bytes);
    ASSERT_TRUE(run(path("keys.gguf"), path("made")));
    const auto before =
        engine::load_tokenizer_if_any(**model::ModelSource::open(path("keys.gguf")));
    const auto after = engine::load_tokenizer_if_any(**model::ModelSource::open(path("made")));
    ASSERT_TRUE(before && after);
    EXPECT_EQ(before->has_value(), after->has_value());
    EXPECT_EQ(std::filesystem::exists(path("made/tokenizer.gguf")), before->has_value());
}

TEST_F(Convert, WhatIsThereIsKeptUnlessItShallBeReplaced) {
    write("there.gguf", "mine");
    EXPECT_THAT(run(in_, path("there.gguf")).error().message, HasSubstr("is there already"));
    EXPECT_EQ(text_of(path("there.gguf")), "mine");
    EXPECT_TRUE(run(in_, path("there.gguf"), Existing::Replace));
    EXPECT_NE(text_of(path("there.gguf")), "mine");

    std::filesystem::create_directory(path("back"));
    write("back/config.json", "old");
    EXPECT_THAT(run(path("there.gguf"), path("back")).error().message, HasSubstr("--force"));
    write("back/notes.txt", "mine");
    EXPECT_THAT(run(path("there.gguf"), path("back/"), Existing::Replace).error().message,
                HasSubstr("holds notes.txt"));
    std::filesystem::remove(path("back/notes.txt"));
    EXPECT_TRUE(run(path("there.gguf"), path("back/"), Existing::Replace));
    expect_same_text(path("back"));
    EXPECT_THAT(names(folder_.path()), UnorderedElementsAre("in", "there.gguf", "back"));
}

TEST_F(Convert, ALinkIsReplacedAndNotWhatItLeadsTo) {
    write("mine", "mine");
    std::filesystem::create_symlink(path("mine"), path("link.gguf"));
    EXPECT_FALSE(run(in_, path("link.gguf")));
    EXPECT_TRUE(run(in_, path("link.gguf"), Existing::Replace));
    EXPECT_EQ(text_of(path("mine")), "mine");
    EXPECT_FALSE(std::filesystem::is_symlink(path("link.gguf")));
    // Nor does a link under the name that it has until it is whole.
    std::filesystem::create_symlink(path("mine"), path("new.gguf.partial"));
    EXPECT_FALSE(run(in_, path("new.gguf")));
    EXPECT_EQ(text_of(path("mine")), "mine");
}

TEST_F(Convert, SourceAndTargetMayNotBeTheSame) {
    ASSERT_TRUE(run(in_, path("there.gguf")));
    std::filesystem::create_hard_link(path("there.gguf"), path("same.gguf"));
    const auto same = quantize(access_, {.in = path("there.gguf"),
                                         .out = path("same.gguf"),
                                         .type = "Q8_0",
                                         .existing = Existing::Replace});
    EXPECT_THAT(same.error().message, HasSubstr("are the same"));
    EXPECT_FALSE(run(in_, in_, Existing::Replace));
    expect_same_text(in_);
    EXPECT_THAT(run(in_, path("in/tokenizer.json"), Existing::Replace).error().message,
                HasSubstr("is a file of"));
    // Beside the source's own files it is no harm.
    EXPECT_TRUE(run(in_, path("in/inside.gguf")));
    expect_same_text(path("in/inside.gguf"));
}

TEST_F(Convert, WhatFailsLeavesNothingBehind) {
    EXPECT_FALSE(run(path("absent.gguf"), path("out")));
    EXPECT_FALSE(run(in_, path("no/such/folder.gguf")));
    for (const std::string& name : names(in_)) {
        if (name.ends_with(".safetensors")) {
            ASSERT_TRUE(std::filesystem::remove(in_ / name));
            break;  // one of the two shards
        }
    }
    EXPECT_FALSE(run(in_, path("out.gguf")));
    EXPECT_FALSE(quantize(access_, {.in = in_, .out = path("out.gguf"), .type = "Q8_0"}));
    EXPECT_THAT(names(folder_.path()), ElementsAre("in"));
}

TEST_F(Convert, MF16_WhatIsConvertedIsCheckedAsWhatIsLoaded) {
    const auto good = model::testing::tiny_gguf({});
    const auto expect_refused = [&](std::span<const std::byte> bytes) {
        folder_.write("bad.gguf", bytes);
        EXPECT_FALSE(run(path("bad.gguf"), path("out")));
        EXPECT_FALSE(
            quantize(access_, {.in = path("bad.gguf"), .out = path("out.gguf"), .type = "Q8_0"}));
        EXPECT_THAT(names(folder_.path()), UnorderedElementsAre("in", "bad.gguf"));
    };
    expect_refused(std::span(good).first(good.size() / 2));
    auto infinite = good;
    const auto file = model::GgufFile::parse(infinite);
    const auto matrix = file->find_tensor("blk.0.ffn_up.weight")->bytes;
    std::fill_n(infinite.begin() + (matrix.data() - infinite.data()), 4, std::byte{0xff});  // NaN
    folder_.write("bad.gguf", infinite);
    EXPECT_FALSE(
        quantize(access_, {.in = path("bad.gguf"), .out = path("out.gguf"), .type = "Q8_0"}));
    write("in/config.json", R"({"model_type": "llama", "hidden_size": 64})");
    EXPECT_FALSE(run(in_, path("out.gguf")));
    EXPECT_THAT(names(folder_.path()), UnorderedElementsAre("in", "bad.gguf"));
}

// A limit on the size of files fails writes as a full disk does, in the middle.
TEST_F(Convert, AFullDiskLeavesNothingBehind) {
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{20'000, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto done = run(in_, path("out.gguf"));
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, handler);
    EXPECT_FALSE(done);
    EXPECT_THAT(names(folder_.path()), ElementsAre("in"));
}

TEST_F(Convert, WhatAKilledOneLeftIsTakenOver) {
    write("out.gguf.partial", std::string(1'000'000, 'x'));
    ASSERT_TRUE(run(in_, path("out.gguf")));
    expect_same_text(path("out.gguf"));
    std::filesystem::create_directory(path("back.partial"));
    write("back.partial/model.safetensors", std::string(1'000'000, 'x'));
    ASSERT_TRUE(run(path("out.gguf"), path("back")));
    expect_same_text(path("back"));
    EXPECT_THAT(names(folder_.path()), UnorderedElementsAre("in", "out.gguf", "back"));
}

TEST_F(Convert, TwoDoNotWriteTheSameFile) {
    auto first = NewFile::create(path("out.gguf"), Existing::Keep);
    ASSERT_TRUE(first);
    EXPECT_THAT(NewFile::create(path("out.gguf"), Existing::Keep).error().message,
                HasSubstr("somebody else"));
    // Whoever comes first keeps the name.
    write("out.gguf", "mine");
    EXPECT_FALSE(first->keep());
    EXPECT_EQ(text_of(path("out.gguf")), "mine");
}

}  // namespace
}  // namespace weir::cli
