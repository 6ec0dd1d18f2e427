#pragma once

#include "model/family.h"

// One function a family; each is the whole of a file here.
namespace weir::model {

const Family& bert_family();
const Family& cohere_family();
const Family& cohere2_family();
const Family& deepseek_family();
const Family& gemma2_family();
const Family& gemma3_family();
const Family& gemma4_family();
const Family& gpt_oss_family();
const Family& granite_family();
const Family& llama_family();
const Family& llama4_family();
const Family& ministral3_family();
const Family& mixtral_family();
const Family& phi3_family();
const Family& qwen2_family();
const Family& qwen2_moe_family();
const Family& qwen3_family();
const Family& qwen3_5_family();
const Family& qwen3_5_moe_family();
const Family& qwen3_next_family();
const Family& qwen3_moe_family();
const Family& roberta_family();
const Family& stablelm_family();
const Family& starcoder2_family();

}  // namespace weir::model
