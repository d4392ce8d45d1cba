from pathlib import Path

import steploop.engine as engine

# The public names of detectron2's modules of the same purpose: a hook written for it needs another import line only.
NAMES = {
    "engine": "DEFAULT_TIMEOUT launch HookBase TrainerBase SimpleTrainer AMPTrainer create_ddp_model "
    "default_argument_parser default_setup default_writers DefaultTrainer",
    "hooks": "CallbackHook IterationTimer PeriodicWriter PeriodicCheckpointer BestCheckpointer LRScheduler EvalHook "
    "PreciseBN TorchProfiler TorchMemoryStats",
    "events": "get_event_storage has_event_storage EventStorage EventWriter JSONWriter TensorboardXWriter "
    "CommonMetricPrinter",
    "solver": "build_optimizer build_lr_scheduler get_default_optimizer_params LRMultiplier WarmupParamScheduler",
    "comm": "get_world_size get_rank get_local_rank get_local_size is_main_process synchronize all_gather gather "
    "shared_random_seed reduce_dict create_local_process_group",
    "checkpoint": "Checkpointer PeriodicCheckpointer",
    "evaluation": "DatasetEvaluator DatasetEvaluators inference_on_dataset inference_context print_csv_format "
    "verify_results",
    "utils": "seed_all_rng collect_env_info setup_logger",
}

NAMES["version 0.2.0: every public name that it had"] = (
    "AMPTrainer BestCheckpointer CSVWriter CallbackHook Checkpointer CommonMetricPrinter DEFAULT_TIMEOUT "
    "DatasetEvaluator DatasetEvaluators DefaultPredictor DefaultTrainer EMA EarlyStopping EpochRecorder EvalHook "
    "EventStorage EventWriter GradientClipping HistoryBuffer HookBase IterationTimer JSONWriter LRMultiplier "
    "LRScheduler LayerFreeze NonFiniteLoss PeriodicCheckpointer PeriodicWriter PreciseBN ProgressBar "
    "REQUEUE_EXIT_CODE SimpleTrainer StopOnSignal TensorboardXWriter TimeLimit TimeSplit TorchMemoryStats "
    "TorchProfiler TrainerBase ValidationLoss WarmupParamScheduler all_gather build_lr_scheduler build_optimizer "
    "build_writers clear_errors collect_env_info comm create_ddp_model create_local_process_group "
    "default_argument_parser default_setup default_writers flatten_results_dict gather gather_tensor "
    "get_default_optimizer_params get_event_storage get_local_rank get_local_size get_rank get_world_size "
    "has_event_storage hooks inference_context inference_on_dataset is_main_process launch log_every_n_seconds "
    "log_first_n print_csv_format reduce_dict resolve_device seed_all_rng setup_config setup_logger "
    "shared_random_seed synchronize verify_results "
)


def test_every_name_can_be_imported_from_the_package():
    wanted = {name for names in NAMES.values() for name in names.split()}
    assert [name for name in sorted(wanted) if not hasattr(engine, name)] == []


def test_the_top_of_the_engine_has_two_files_and_ten_rooms():
    folder = Path(engine.__file__).parent
    entries = {path.name for path in folder.iterdir() if path.name not in ("__pycache__", "py.typed")}
    assert entries == {
        "__init__.py", "train_loop.py", "simple_trainer.py", "hooks", "metrics", "checkpoint", "solver", "evaluation",
        "distributed", "run", "defaults", "cli",
    }  # fmt: skip


def test_hooks_are_also_found_by_their_module():
    assert all(hasattr(engine.hooks, name) for name in NAMES["hooks"].split())
