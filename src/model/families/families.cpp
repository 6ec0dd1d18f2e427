#include "model/families/families.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace weir::model {

namespace {

using Names = std::span<const std::string_view> Family::*;

const Family* find(Names names, std::string_view name) {
    for (const Family* family : known_families()) {
        if (std::ranges::find(family->*names, name) != (family->*names).end()) {
            return family;
        }
    }
    return nullptr;
}

std::string all(Names names, std::span<const std::string_view> more) {
    std::vector<std::string_view> found(more.begin(), more.end());
    for (const Family* family : known_families()) {
        found.insert(found.end(), (family->*names).begin(), (family->*names).end());
    }
    std::ranges::sort(found);
    found.erase(std::ranges::unique(found).begin(), found.end());
    return fmt::format("{}", fmt::join(found, ", "));
}

}  // namespace

std::span<const Family* const> known_families() {
    static const std::array kFamilies = {
        &bert_family(),       &cohere2_family(),     &cohere_family(),   &deepseek_family(),
        &gemma2_family(),     &gemma3_family(),      &gemma4_family(),   &gpt_oss_family(),
        &granite_family(),    &llama4_family(),      &llama_family(),    &ministral3_family(),
        &mixtral_family(),    &phi3_family(),        &qwen2_family(),    &qwen2_moe_family(),
        &qwen3_5_family(),    &qwen3_5_moe_family(), &qwen3_family(),    &qwen3_moe_family(),
        &qwen3_next_family(), &roberta_family(),     &stablelm_family(), &starcoder2_family(),
    };
    return kFamilies;
}

const Family* find_family_of_gguf(std::string_view architecture) {
    return find(&Family::gguf_architectures, architecture);
}

const Family* find_family_of_json(std::string_view model_type) {
    return find(&Family::model_types, model_type);
}

const WrappedType* find_wrapped(std::string_view model_type) {
    for (const Family* family : known_families()) {
        const auto found = std::ranges::find(family->wrapped, model_type, &WrappedType::whole);
        if (found != family->wrapped.end()) {
            return &*found;
        }
    }
    return nullptr;
}

bool can_wrap(std::string_view whole, std::string_view text) {
    const auto fits = [&](const WrappedType& type) {
        return type.whole == whole && type.text == text;
    };
    return std::ranges::any_of(known_families(), [&](const Family* family) {
        return std::ranges::any_of(family->wrapped, fits);
    });
}

std::string known_architectures() {
    return all(&Family::gguf_architectures, {});
}

std::string known_model_types() {
    std::vector<std::string_view> wrapped;
    for (const Family* family : known_families()) {
        for (const WrappedType& type : family->wrapped) {
            wrapped.push_back(type.whole);
        }
    }
    return all(&Family::model_types, wrapped);
}

}  // namespace weir::model
