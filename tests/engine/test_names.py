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


def test_every_name_can_be_imported_from_the_package():
    wanted = {name for names in NAMES.values() for name in names.split()}
    assert wanted <= set(engine.__all__)
    assert all(hasattr(engine, name) for name in engine.__all__)


def test_hooks_are_also_found_by_their_module():
    assert all(hasattr(engine.hooks, name) for name in NAMES["hooks"].split())
