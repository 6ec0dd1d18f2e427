#include "model/hf_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/load.h"
#include "model/testing/safetensors_writer.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_model.h"

namespace weir::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::TinyModel;

std::vector<std::byte> one_tensor(std::string name) {
    const std::vector<testing::SafetensorsItem> items = {
        {std::move(name), "U8", {1}, {std::byte{1}}}};
    return testing::safetensors_file(items);
}

TEST(HfFolder, ReadsOneFileOrShards) {
    for (const size_t shards : {1u, 3u}) {
        const TemporaryFolder folder;
        testing::write_tiny_folder(TinyModel(), folder.path(), shards);
        const auto model = HfFolder::open(folder.path());
        ASSERT_TRUE(model.has_value()) << model.error().message;
        EXPECT_EQ(model->shards().size(), shards);
        EXPECT_NE(model->config(), nullptr);
        EXPECT_THAT(model->eos_token_ids(), ElementsAre(2, 3));
    }
}

TEST(HfFolder, GenerationConfigSaysWhatEndsAText) {
    const TemporaryFolder folder;
    folder.write("config.json", R"({"eos_token_id": 1})");
    folder.write("generation_config.json", R"({"eos_token_id": [128001, 128009]})");
    EXPECT_THAT(HfFolder::open(folder.path())->eos_token_ids(), ElementsAre(128001, 128009));
    folder.write("generation_config.json", R"({"eos_token_id": -1})");
    EXPECT_THAT(HfFolder::open(folder.path()).error().message, HasSubstr("generation_config.json"));
}

TEST(HfFolder, ATokenizerAloneIsAFolder) {
    const TemporaryFolder folder;
    folder.write("tokenizer.json", "{}");
    folder.write("chat_template.jinja", "{{ messages }}");
    const auto model = HfFolder::open(folder.path());
    ASSERT_TRUE(model.has_value()) << model.error().message;
    EXPECT_FALSE(model->has_weights());
    const auto files = model->read_tokenizer_files();
    ASSERT_TRUE(files.has_value());
    EXPECT_EQ(files->tokenizer_json, "{}");
    EXPECT_EQ(files->tokenizer_config_json, "");
    const auto templates = model->read_template_files();
    ASSERT_TRUE(templates.has_value());
    EXPECT_EQ(templates->chat_template_jinja, "{{ messages }}");
    EXPECT_EQ(templates->chat_template_json, "");
}

TEST(HfFolder, ASentencePieceFileIsReadOnlyWhereThereIsNoOther) {
    const TemporaryFolder folder;
    folder.write("tokenizer.model", "pieces");
    folder.write("tokenizer_config.json", R"({"add_bos_token": true})");
    const auto alone = HfFolder::open(folder.path())->read_tokenizer_files();
    ASSERT_TRUE(alone.has_value());
    EXPECT_EQ(alone->tokenizer_model, "pieces");
    EXPECT_EQ(alone->tokenizer_config_json, R"({"add_bos_token": true})");
    folder.write("tokenizer.json", "{}");
    const auto both = HfFolder::open(folder.path())->read_tokenizer_files();
    EXPECT_EQ(both->tokenizer_json, "{}");
    EXPECT_EQ(both->tokenizer_model, "");
}

TEST(HfFolder, AWrappedDecoderSaysWhatEndsAText) {
    const TemporaryFolder folder;
    folder.write("config.json", R"({"text_config": {"eos_token_id": 2}})");
    EXPECT_THAT(HfFolder::open(folder.path())->eos_token_ids(), ElementsAre(2));
    folder.write("config.json", R"({"eos_token_id": 3, "text_config": {"eos_token_id": 2}})");
    EXPECT_THAT(HfFolder::open(folder.path())->eos_token_ids(), ElementsAre(3));
}

TEST(HfFolder, MF15_MF17_ShardsMustLieInTheFolder) {
    for (const char* name : {"../x.safetensors", "/x.safetensors", "a/../../x.safetensors",
                             "..\\\\x.safetensors", "./x.safetensors", "file:///tmp/x.safetensors",
                             "x.safetensors\\u0000.safetensors", ".safetensors", "x.bin", ""}) {
        const TemporaryFolder folder;
        folder.write("model.safetensors.index.json",
                     std::string(R"({"weight_map": {"a": ")") + name + R"("}})");
        EXPECT_THAT(HfFolder::open(folder.path()).error().message, HasSubstr("weight_map"));
    }
}

TEST(HfFolder, MF17_AShardsNameIsNotDecoded) {
    const TemporaryFolder outer;
    outer.write("x.safetensors", one_tensor("a"));
    const auto folder = outer.path() / "model";
    std::filesystem::create_directory(folder);
    for (const char* name : {"%2e%2e%2fx.safetensors", "%252e%252e%252fx.safetensors"}) {
        std::ofstream(folder / "model.safetensors.index.json")
            << R"({"weight_map": {"a": ")" << name << R"("}})";
        EXPECT_EQ(HfFolder::open(folder).error().code, ErrorCode::NotFound) << name;
    }
}

TEST(HfFolder, MF14_AnAdapterIsNoModel) {
    const TemporaryFolder folder;
    folder.write("adapter_config.json", R"({"peft_type": "LORA", "r": 100000})");
    folder.write("adapter_model.safetensors", one_tensor("a"));
    const auto source = ModelSource::open(folder.path());
    ASSERT_TRUE(source.has_value());
    EXPECT_THAT((*source)->config().error().message, HasSubstr("config.json"));
}

TEST(HfFolder, TheIndexMustBeRight) {
    const TemporaryFolder folder;
    folder.write("x.safetensors", one_tensor("b"));
    folder.write("model.safetensors.index.json", R"({"weight_map": {"a": "x.safetensors"}})");
    EXPECT_THAT(HfFolder::open(folder.path()).error().message, HasSubstr("tensor a"));
}

TEST(HfFolder, ATensorInTwoShardsIsRefused) {
    const TemporaryFolder folder;
    folder.write("x.safetensors", one_tensor("a"));
    const std::vector<testing::SafetensorsItem> items = {{"a", "U8", {1}, {std::byte{1}}},
                                                         {"b", "U8", {1}, {std::byte{1}}}};
    folder.write("y.safetensors", testing::safetensors_file(items));
    folder.write("model.safetensors.index.json",
                 R"({"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}})");
    EXPECT_THAT(HfFolder::open(folder.path()).error().message, HasSubstr("tensor a occurs in two"));
}

TEST(HfFolder, MF13_AFolderOfPickleIsRefused) {
    for (const char* name : {"pytorch_model.bin", "model.pt", "model.pth", "model.ckpt"}) {
        const TemporaryFolder folder;
        folder.write(name, "x");
        EXPECT_THAT(HfFolder::open(folder.path()).error().message, HasSubstr("pickle"));
    }
}

TEST(HfFolder, MF13_PickleIsKnownByItsFirstBytes) {
    const TemporaryFolder folder;
    const auto refusal = [&](std::string_view name, std::string_view head) {
        return ModelSource::open(folder.write(name, head)).error().message;
    };
    EXPECT_THAT(refusal("a.gguf", "\x80\x02}q\x01"), HasSubstr("pickle"));
    EXPECT_THAT(refusal("b.gguf", "PK\x03\x04rest"), HasSubstr("pickle"));
    EXPECT_THAT(refusal("c.gguf", "7z\xBC\xAF\x27\x1Crest"), HasSubstr("7z"));
    EXPECT_THAT(refusal("d.bin", "whatever"), HasSubstr("pickle"));
}

TEST(HfFolder, MF13_PickleUnderAnotherNameIsNoModel) {
    const TemporaryFolder folder;
    for (const std::string_view head :
         {std::string_view("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.", 14),
          std::string_view("PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00", 12)}) {
        folder.write("model.safetensors", head);
        const auto opened = HfFolder::open(folder.path());
        ASSERT_FALSE(opened.has_value());
        EXPECT_THAT(opened.error().message, HasSubstr("model.safetensors"));
    }
}

TEST(HfFolder, MF13_CodeOfTheModelIsNeverExecuted) {
    const TemporaryFolder folder;
    folder.write("config.json",
                 R"({"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "m.M"}})");
    const auto source = ModelSource::open(folder.path());
    ASSERT_TRUE(source.has_value());
    EXPECT_THAT((*source)->config().error().message, HasSubstr("auto_map"));
}

TEST(HfFolder, ConfigMustBeStrictJson) {
    const TemporaryFolder folder;
    folder.write("config.json", R"({"a": 1, "a": 2})");
    EXPECT_THAT(HfFolder::open(folder.path()).error().message, HasSubstr("config.json"));
    folder.write("config.json", "[]");
    EXPECT_THAT(HfFolder::open(folder.path()).error().message, HasSubstr("config.json"));
}

}  // namespace
}  // namespace weir::model
