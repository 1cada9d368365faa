// The native engine as one operation of OpenVINO: token ids in, start and end logits out.
//
// `edge-qa export --for extension` writes models with it. Its inputs are those of every Edge QA model, and last the
// packed file as a constant of bytes. What the mask leaves out is not run; its logits are 0.
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <openvino/core/extension.hpp>
#include <openvino/core/op_extension.hpp>
#include <openvino/op/constant.hpp>
#include <openvino/op/op.hpp>

#include "edge_qa_kernels.h"

namespace {

constexpr size_t kAlignment = 64;
enum Input { kIds, kMask, kTypes, kPositions, kPacked, kInputs };

// One pool for all models of the process: a call has all of its threads, and others take turns.
edge_qa_pool* shared_pool() {
  static edge_qa_pool* const pool = [] {
    cpu_set_t allowed;
    int threads = sched_getaffinity(0, sizeof allowed, &allowed) ? 1 : CPU_COUNT(&allowed);
    if (const char* asked = std::getenv("EDGE_QA_THREADS")) threads = std::max(1, std::atoi(asked));
    edge_qa_pool* made = nullptr;
    char error[256] = "";
    OPENVINO_ASSERT(edge_qa_pool_open(std::min(threads, 256), &made, error, sizeof error) == EDGE_QA_OK, error);
    return made;
  }();
  return pool;
}

// A packed model, opened at the first inference and shared by the copies of its operation.
class Packed {
 public:
  ~Packed() {
    if (model_) edge_qa_model_close(model_);
    std::free(copy_);
  }

  edge_qa_model* open(const ov::Tensor& bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!model_) {
      const char* path = edge_qa_best_path(std::getenv("EDGE_QA_ISA"));
      OPENVINO_ASSERT(*path, "Edge QA: this CPU lacks AVX2, or EDGE_QA_ISA names no path of it");
      // OpenVINO promises no address for a constant, nor that it stays there.
      const size_t size = bytes.get_byte_size();
      copy_ = std::aligned_alloc(kAlignment, (size + kAlignment - 1) / kAlignment * kAlignment);
      OPENVINO_ASSERT(copy_, "Edge QA: no memory for the packed model");
      std::memcpy(copy_, bytes.data(), size);
      char error[256] = "";
      OPENVINO_ASSERT(edge_qa_model_open(copy_, size, path, &model_, error, sizeof error) == EDGE_QA_OK, error);
    }
    return model_;
  }

 private:
  std::mutex mutex_;
  edge_qa_model* model_ = nullptr;
  void* copy_ = nullptr;
};

// The CPU plugin hands 64-bit integers on as 32-bit ones.
std::vector<int64_t> integers(const ov::Tensor& tensor) {
  const size_t count = tensor.get_size();
  if (tensor.get_element_type() == ov::element::i32) {
    const int32_t* data = tensor.data<const int32_t>();
    return {data, data + count};
  }
  const int64_t* data = tensor.data<const int64_t>();
  return {data, data + count};
}

class EdgeQaEncoder : public ov::op::Op {
 public:
  OPENVINO_OP("EdgeQaEncoder", "extension");

  EdgeQaEncoder() = default;
  EdgeQaEncoder(const ov::OutputVector& inputs, int64_t budget, std::shared_ptr<Packed> packed)
      : Op(inputs), budget_(budget), packed_(std::move(packed)) {
    constructor_validate_and_infer_types();
  }

  void validate_and_infer_types() override {
    NODE_VALIDATION_CHECK(this, get_input_size() == kInputs, "Edge QA: five inputs are wanted");
    for (size_t i = 0; i < 2; i++) set_output_type(i, ov::element::f32, get_input_partial_shape(kIds));
  }

  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override {
    return std::make_shared<EdgeQaEncoder>(inputs, budget_, packed_);
  }

  bool visit_attributes(ov::AttributeVisitor& visitor) override {
    visitor.on_attribute("budget", budget_);
    return true;
  }

  bool has_evaluate() const override { return true; }

  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override {
    const ov::Shape shape = inputs[kIds].get_shape();
    OPENVINO_ASSERT(shape.size() == 2, "Edge QA: inputs are (batch, tokens)");
    std::vector<int64_t> whole[4], kept[4];
    for (int i = 0; i < 4; i++) {
      OPENVINO_ASSERT(inputs[i].get_shape() == shape, "Edge QA: inputs differ in shape");
      whole[i] = integers(inputs[i]);
    }
    std::vector<int32_t> lengths;
    for (size_t row = 0; row < shape[0]; row++) {
      int32_t length = 0;
      for (size_t place = row * shape[1]; place < (row + 1) * shape[1]; place++) {
        if (!whole[kMask][place]) continue;
        length++;
        for (int i : {kIds, kTypes, kPositions}) kept[i].push_back(whole[i][place]);
      }
      if (length) lengths.push_back(length);
    }
    std::vector<float> logits[2];
    for (auto& side : logits) side.resize(kept[kIds].size());
    char error[256] = "";
    edge_qa_model* model = packed_->open(inputs[kPacked]);
    if (!lengths.empty())
      OPENVINO_ASSERT(edge_qa_run(model, shared_pool(), static_cast<int32_t>(budget_),
                                  static_cast<int32_t>(lengths.size()), lengths.data(), kept[kIds].data(),
                                  kept[kTypes].data(), kept[kPositions].data(), logits[0].data(), logits[1].data(),
                                  error, sizeof error) == EDGE_QA_OK,
                      "Edge QA: ", error);
    for (size_t side = 0; side < 2; side++) {
      outputs[side].set_shape(shape);
      float* to = outputs[side].data<float>();
      for (size_t place = 0, from = 0; place < whole[kMask].size(); place++)
        to[place] = whole[kMask][place] ? logits[side][from++] : 0.f;
    }
    return true;
  }

 private:
  int64_t budget_ = -1;
  std::shared_ptr<Packed> packed_ = std::make_shared<Packed>();
};

}  // namespace

OPENVINO_CREATE_EXTENSIONS(std::vector<ov::Extension::Ptr>({std::make_shared<ov::OpExtension<EdgeQaEncoder>>()}));
