import dataclasses
import json

from profkit_storage import Enclosing, Profile
from profkit_storage.formats import json as plain


def test_plain_json_tells_what_a_profile_ran_inside(make_profile):
    rendered = json.loads(plain.render(make_profile(number=9, enclosing=[Enclosing(8, True)])))
    assert rendered["number"] == 9
    assert rendered["enclosing"] == [{"number": 8, "slow": True}]
    assert set(rendered) == {"schema", *(field.name for field in dataclasses.fields(Profile))}
