//! Rank, size, local rank and cores from environments recorded under each launcher (tests/environments).

use fitjob::launch::cores::{grant, quota};
use fitjob::launch::mismatch::{Library, after_init, before_init};
use fitjob::launch::seats::{Seat, warnings};
use fitjob::launch::{Env, Launch, Launcher, detect};
use std::path::Path;

fn recorded(name: &str) -> Launch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/environments/{name}.env"));
    detect(&Env::parse(&std::fs::read_to_string(path).unwrap()))
}

#[track_caller]
fn expect(name: &str, launcher: Launcher, size: usize, rank: usize, local_rank: Option<usize>, local_size: Option<usize>) {
    let found = recorded(name);
    assert_eq!((found.launcher, found.size, found.rank), (launcher, size, rank), "{name}");
    assert_eq!((found.local_rank, found.local_size), (local_rank, local_size), "{name}");
}

#[test]
fn every_launcher_is_recognised_with_rank_size_and_local_rank() {
    expect("openmpi-4.1-mpiexec", Launcher::OpenMpi, 3, 1, Some(1), Some(3));
    expect("mpich-4.0-mpiexec", Launcher::Hydra, 3, 1, Some(1), Some(3));
    expect("intel-2021-mpiexec-documented", Launcher::IntelMpi, 8, 5, Some(1), Some(4));
    expect("slurm-22.05-srun-pmix", Launcher::SrunPmix, 3, 1, Some(1), Some(3));
    expect("slurm-22.05-srun-pmi2", Launcher::SrunPmi, 3, 1, Some(1), Some(3));
    expect("slurm-22.05-srun-none", Launcher::SrunNone, 3, 1, Some(1), Some(3));
}

#[test]
fn the_body_of_a_batch_script_is_one_process() {
    expect("slurm-22.05-batch-body", Launcher::Alone, 1, 0, None, None);
    let newer = Env::parse("SLURM_STEP_ID=4294967291\nSLURM_PROCID=0\nSLURM_STEP_NUM_TASKS=1\nSLURM_NTASKS=8\nSLURM_JOB_ID=7");
    assert_eq!(detect(&newer).launcher, Launcher::Alone);
    assert_eq!(detect(&newer).slurm_job.as_deref(), Some("7"));
}

#[test]
fn an_mpiexec_inside_an_allocation_goes_before_slurm() {
    expect("openmpi-4.1-mpiexec-in-sbatch", Launcher::OpenMpi, 3, 1, Some(1), Some(3));
    expect("mpich-4.0-mpiexec-in-sbatch", Launcher::Hydra, 3, 1, Some(1), Some(3));
}

#[test]
fn an_mpiexec_started_by_srun_goes_before_the_step_that_holds_it() {
    let env = "SLURM_STEP_ID=0\nSLURM_PROCID=0\nSLURM_STEP_NUM_TASKS=1\nPMI_RANK=2\nPMI_SIZE=4\nMPI_LOCALNRANKS=4\nMPI_LOCALRANKID=2";
    let launch = detect(&Env::parse(env));
    assert_eq!((launch.launcher, launch.size, launch.rank), (Launcher::Hydra, 4, 2));
}

#[test]
fn nothing_set_is_one_process_started_by_hand() {
    assert_eq!(detect(&Env::parse("HOME=/root\nI_MPI_ROOT=/opt/intel\nSLURM_CONF=/etc/slurm.conf")), Launch::alone());
}

#[test]
fn processes_that_each_think_they_are_alone_are_refused_with_cause_and_cure() {
    let cases = [
        ("openmpi-4.1-mpiexec", Library::Mpich, "mpiexec of Open MPI", "mpiexec.mpich"),
        ("mpich-4.0-mpiexec", Library::OpenMpi, "mpiexec of MPICH", "mpiexec.openmpi"),
        ("slurm-22.05-srun-none", Library::Mpich, "srun --mpi=none", "srun --mpi=pmi2"),
        ("slurm-22.05-srun-pmix", Library::Mpich, "srun --mpi=pmix", "srun --mpi=pmi2"),
        ("slurm-22.05-srun-pmi2", Library::OpenMpi, "srun --mpi=pmi2", "srun --mpi=pmix"),
        ("openmpi-4.1-mpiexec", Library::None, "mpiexec of Open MPI", "--ncores N"),
    ];
    for (name, library, cause, cure) in cases {
        let launch = recorded(name);
        let refusal = before_init(&launch, library).or_else(|| after_init(&launch, library, 1)).expect(name);
        let text = refusal.to_string();
        assert!(text.contains("3 processes") && text.contains(cause) && text.contains(cure), "{name}: {text}");
        assert_eq!(refusal.rank, 1, "only rank 0 prints");
    }
}

#[test]
fn open_mpi_under_an_srun_without_pmix_is_refused_before_mpi_init() {
    for name in ["slurm-22.05-srun-pmi2", "slurm-22.05-srun-none"] {
        assert!(before_init(&recorded(name), Library::OpenMpi).is_some(), "{name}");
        assert!(before_init(&recorded(name), Library::Mpich).is_none(), "{name}");
    }
}

#[test]
fn launches_that_work_are_not_refused() {
    for (name, library) in
        [("openmpi-4.1-mpiexec", Library::OpenMpi), ("mpich-4.0-mpiexec", Library::Mpich), ("slurm-22.05-srun-pmix", Library::OpenMpi)]
    {
        let launch = recorded(name);
        assert_eq!(before_init(&launch, library), None);
        assert_eq!(after_init(&launch, library, 3), None);
    }
    assert_eq!(before_init(&recorded("slurm-22.05-batch-body"), Library::None), None);
}

#[test]
fn cores_granted_are_the_least_of_all_limits() {
    let cpus = || (0..8).collect::<Vec<_>>();
    let all = grant(&Env::default(), cpus(), None);
    assert_eq!((all.granted, all.reason()), (8, "CPU affinity"));
    let slurm = grant(&Env::parse("SLURM_CPUS_PER_TASK=4\nOMP_NUM_THREADS=6,2"), cpus(), Some(7.5));
    assert_eq!((slurm.granted, slurm.reason()), (4, "SLURM_CPUS_PER_TASK"));
    assert_eq!(slurm.limits[1], ("control group quota".into(), 7));
    assert_eq!(grant(&Env::parse("OMP_NUM_THREADS=1"), cpus(), None).granted, 1);
    assert_eq!(grant(&Env::parse("OMP_NUM_THREADS=many"), cpus(), Some(0.5)).granted, 1, "never less than one");
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn quotas_are_read_from_control_groups_of_version_2_and_their_parents() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "proc/self/cgroup", "0::/slurm/job_7/step_0\n");
    assert_eq!(quota(root.path()), None);
    write(root.path(), "sys/fs/cgroup/slurm/job_7/step_0/cpu.max", "max 100000\n");
    assert_eq!(quota(root.path()), None);
    write(root.path(), "sys/fs/cgroup/slurm/job_7/cpu.max", "350000 100000\n");
    assert_eq!(quota(root.path()), Some(3.5));
}

#[test]
fn quotas_are_read_from_control_groups_of_version_1() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "proc/self/cgroup", "11:memory:/a\n4:cpu,cpuacct:/docker/abc\n");
    write(root.path(), "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
    write(root.path(), "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_eq!(quota(root.path()), Some(2.0), "a container sees its own group at the top");
}

fn seat(host: &str, cpus: &[usize], threads: usize) -> Seat {
    Seat { host: host.into(), cores: grant(&Env::default(), cpus.to_vec(), None), threads }
}

#[test]
fn more_threads_than_cores_are_warned_of_host_by_host() {
    let bound = [seat("n1", &[0], 1), seat("n1", &[1], 1), seat("n2", &[0], 1)];
    assert!(warnings(&bound).is_empty(), "ranks bound to a core each");
    let crowded = [seat("n1", &[0, 1], 2), seat("n1", &[0, 1], 2), seat("n2", &[0, 1, 2, 3], 4)];
    let text = warnings(&crowded).join("\n");
    assert!(text.contains("host n1") && text.contains("4 threads") && text.contains("2 cores"), "{text}");
    assert!(!text.contains("n2"), "{text}");
}

#[test]
fn a_rank_with_more_threads_than_it_was_granted_is_warned_of() {
    let mut few = seat("n1", &[0, 1, 2, 3], 4);
    few.cores = grant(&Env::parse("SLURM_CPUS_PER_TASK=2"), vec![0, 1, 2, 3], None);
    let text = warnings(&[few]).join("\n");
    assert!(text.contains("rank 0") && text.contains("SLURM_CPUS_PER_TASK"), "{text}");
}
