"""The exceptions, as a whole."""

import errno
import inspect
import pickle

import klog
import pytest
from klog import _klog

CLASSES = {name: kind for name, kind in vars(klog).items() if inspect.isclass(kind) and issubclass(kind, Exception)}

ALSO = {
    "UnknownTopicError": LookupError,
    "OffsetOutOfRangeError": LookupError,
    "NotAssignedError": LookupError,
    "ConfigError": ValueError,
    "InvalidRequestError": ValueError,
    "RecordTooLargeError": ValueError,
    "UnsupportedError": NotImplementedError,
    "ClosedError": RuntimeError,
    "ForkedError": klog.ClosedError,
    "BusyError": RuntimeError,
    "LockedError": BlockingIOError,
    "ReadOnlyError": PermissionError,
    "StorageError": OSError,
    "DiskFullError": klog.StorageError,
    "TimeoutError": TimeoutError,
}


def test_all_of_them_are_klog_errors():
    assert len(CLASSES) == 23
    for name, kind in CLASSES.items():
        assert issubclass(kind, klog.KlogError)
        assert (kind.__module__, kind.__qualname__) == ("klog", name)
        assert kind.__doc__


@pytest.mark.parametrize("name", ALSO)
def test_general_handlers_catch_them_too(name):
    assert issubclass(CLASSES[name], ALSO[name])


def test_every_code_of_the_engine_has_a_class_and_a_number():
    table = _klog._error_table
    assert len(table) == len({name for name, _, _ in table}) > 30
    for name, number, kind in table:
        assert kind in CLASSES, name
        assert klog.ErrorCode[name] == number
    # Kafka's numbers are Kafka's; DISK_FULL is one of its storage errors. klog's own are unique.
    shared = [number for _, number, _ in table]
    assert sorted(number for number in set(shared) if shared.count(number) > 1) == [56]


def test_numbers_are_kafkas():
    for name, number in [("UNKNOWN_TOPIC_OR_PARTITION", 3), ("INVALID_CONFIG", 40), ("KAFKA_STORAGE_ERROR", 56)]:
        assert klog.ErrorCode(number) is klog.ErrorCode[name]
        assert klog.ErrorCode[name].name == name


def test_an_error_carries_code_name_and_what_to_do(memory):
    with pytest.raises(klog.UnknownTopicError) as raised:
        memory.topic("orders")
    error = raised.value
    assert error.code is klog.ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert error.code == 3
    assert error.name == "UNKNOWN_TOPIC_OR_PARTITION"
    assert (error.retriable, error.fatal, error.aborts_transaction) == (False, False, False)
    assert str(error) == "there is no topic 'orders'"
    assert error.args == (str(error),)


@pytest.mark.parametrize("name", CLASSES)
def test_one_that_is_made_by_hand_answers_the_same_questions(name):
    error = CLASSES[name]("made by hand")
    assert str(error) == "made by hand"
    assert isinstance(error.code, klog.ErrorCode)
    assert isinstance(error.name, str)
    assert [type(answer) for answer in (error.retriable, error.fatal, error.aborts_transaction)] == [bool] * 3


def test_what_the_operating_system_refuses_has_its_number(tmp_path):
    with pytest.raises(klog.StorageError) as raised:
        klog.open(tmp_path / "missing", mode="r")
    assert raised.value.errno == errno.ENOENT
    assert raised.value.retriable
    (tmp_path / "file").touch()
    with pytest.raises(klog.StorageError, match="is a file, not a directory"):
        klog.open(tmp_path / "file")


def test_an_error_can_be_pickled(memory):
    with pytest.raises(klog.KlogError) as raised:
        memory.topic("orders")
    back = pickle.loads(pickle.dumps(raised.value))
    assert (type(back), str(back), back.args) == (type(raised.value), str(raised.value), raised.value.args)
    assert (back.code, back.name, back.retriable) == (raised.value.code, raised.value.name, raised.value.retriable)
